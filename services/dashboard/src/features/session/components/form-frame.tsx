import { Button, Container, Paper, PasswordInput, Stack, TextInput } from "@mantine/core";
import type { ReactNode, SyntheticEvent } from "react";
import { useTranslation } from "react-i18next";
import { ErrorBlock } from "../../../shared/error-block.tsx";
import { PageTitle } from "../../../shared/page-title.tsx";

/** The narrow page of somebody who is not signed in. */
export function NarrowPage({ title, children }: { readonly title: string; readonly children: ReactNode }): ReactNode {
  return (
    <Container size={440} py="xl" component="main" id="content" tabIndex={-1}>
      <Stack gap="md">
        <PageTitle text={title} />
        {children}
      </Stack>
    </Container>
  );
}

interface FormProps {
  readonly onSubmit: () => void;
  readonly submit: string;
  readonly pending: boolean;
  readonly error: Error | null;
  readonly children: ReactNode;
}

/** Fields, what went wrong, and the one button. */
export function FormPaper({ onSubmit, submit, pending, error, children }: FormProps): ReactNode {
  const send = (event: SyntheticEvent): void => {
    event.preventDefault();
    onSubmit();
  };
  return (
    <Paper withBorder p="lg">
      <form onSubmit={send}>
        <Stack>
          {children}
          {error && <ErrorBlock error={error} />}
          <Button type="submit" loading={pending}>
            {submit}
          </Button>
        </Stack>
      </form>
    </Paper>
  );
}

interface FieldProps {
  readonly value: string;
  readonly onChange: (value: string) => void;
}

/** `passkeys`: the browser offers them here (conditional UI). */
export function EmailField({ value, onChange, passkeys }: FieldProps & { readonly passkeys?: boolean }): ReactNode {
  const { t } = useTranslation();
  return (
    <TextInput
      required
      type="email"
      label={t("signIn.email")}
      autoComplete={passkeys === true ? "username webauthn" : "username"}
      maxLength={254}
      value={value}
      onChange={(event) => onChange(event.currentTarget.value)}
    />
  );
}

/** `charactersMin`: for a new password, its least length. */
export function PasswordField({
  value,
  onChange,
  charactersMin,
}: FieldProps & { readonly charactersMin?: number | undefined }): ReactNode {
  const { t } = useTranslation();
  const isNew = charactersMin !== undefined;
  return (
    <PasswordInput
      required
      minLength={charactersMin ?? 1}
      label={isNew ? t("signIn.newPassword") : t("signIn.password")}
      description={isNew ? t("signUp.passwordHint", { count: charactersMin }) : undefined}
      visibilityToggleButtonProps={{ "aria-label": t("signIn.showPassword") }}
      autoComplete={isNew ? "new-password" : "current-password"}
      value={value}
      onChange={(event) => onChange(event.currentTarget.value)}
    />
  );
}
