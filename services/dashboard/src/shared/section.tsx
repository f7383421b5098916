import { Alert, Button, Card, Group, PasswordInput, Stack, Text, TextInput, Title } from "@mantine/core";
import { useState, type ReactNode, type SyntheticEvent } from "react";
import { useTranslation } from "react-i18next";
import { ErrorBlock } from "./error-block.tsx";

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
  /** `taken` empties the field: nothing that was typed is lost before it is. */
  readonly onSubmit: (value: string, taken: () => void) => void;
  readonly type?: "text" | "email" | "new-password" | "current-password" | "code";
  readonly initial?: string;
  readonly required?: boolean;
}

/** A field and its button. */
export function FieldForm(props: FieldFormProps): ReactNode {
  const { t } = useTranslation();
  const { label, submit, pending, error, onSubmit, type = "text", initial = "", required = true } = props;
  const [value, setValue] = useState(initial);
  const send = (event: SyntheticEvent): void => {
    event.preventDefault();
    onSubmit(value, () => setValue(initial));
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

/** It worked; a screen reader says so too. */
export function Done({ text }: { readonly text: string }): ReactNode {
  return (
    <Alert color="green" variant="light" role="status">
      <Text size="sm">{text}</Text>
    </Alert>
  );
}
