import { Button, Card, Code, Group, List, PasswordInput, Stack, Text, TextInput, Title } from "@mantine/core";
import { useState, type ReactNode, type SyntheticEvent } from "react";
import { useTranslation } from "react-i18next";
import { Copy } from "../../../shared/copy.tsx";
import { ErrorBlock } from "../../../shared/error-block.tsx";

/** One matter of the page, under a heading of its own. */
export function Section({ title, children }: { readonly title: string; readonly children: ReactNode }): ReactNode {
  return (
    <Card withBorder padding="lg" component="section" aria-label={title}>
      <Stack>
        <Title order={2} size="h4">
          {title}
        </Title>
        {children}
      </Stack>
    </Card>
  );
}

interface FieldFormProps {
  readonly label: string;
  readonly submit: string;
  readonly pending: boolean;
  readonly error: Error | null;
  readonly onSubmit: (value: string) => void;
  readonly type?: "text" | "email" | "new-password" | "current-password" | "code";
  readonly initial?: string;
  readonly required?: boolean;
}

/** A field and its button. The field is empty again once its value was taken. */
export function FieldForm(props: FieldFormProps): ReactNode {
  const { t } = useTranslation();
  const { label, submit, pending, error, onSubmit, type = "text", initial = "", required = true } = props;
  const [value, setValue] = useState(initial);
  const send = (event: SyntheticEvent): void => {
    event.preventDefault();
    onSubmit(value);
    if (initial === "") setValue("");
  };
  const common = {
    label,
    required,
    value,
    miw: 200,
    flex: { base: 1, sm: "0 1 22rem" },
    onChange: (event: { currentTarget: { value: string } }) => setValue(event.currentTarget.value),
  };
  return (
    <form onSubmit={send}>
      <Group align="end" gap="sm">
        {type === "new-password" || type === "current-password" ? (
          <PasswordInput
            {...common}
            minLength={type === "new-password" ? 12 : 1}
            autoComplete={type}
            visibilityToggleButtonProps={{ "aria-label": t("signIn.showPassword") }}
          />
        ) : (
          <TextInput
            {...common}
            type={type === "email" ? "email" : "text"}
            maxLength={type === "email" ? 254 : 100}
            autoComplete={type === "code" ? "one-time-code" : "off"}
          />
        )}
        <Button type="submit" loading={pending}>
          {submit}
        </Button>
      </Group>
      {error && <ErrorBlock error={error} />}
    </form>
  );
}

/** Shown once: they are in no answer that comes later. */
export function CodeList({ codes }: { readonly codes: readonly string[] }): ReactNode {
  const { t } = useTranslation();
  return (
    <Stack gap="xs">
      <Text>{t("security.codesOnce")}</Text>
      <List data-testid="recovery-codes" listStyleType="none">
        {codes.map((code) => (
          <List.Item key={code}>
            <Code>{code}</Code>
          </List.Item>
        ))}
      </List>
      <Group>
        <Copy value={codes.join("\n")} />
      </Group>
    </Stack>
  );
}
