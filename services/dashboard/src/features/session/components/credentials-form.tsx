import { Button, Container, Paper, PasswordInput, Stack, TextInput } from "@mantine/core";
import { useState, type ReactNode, type SyntheticEvent } from "react";
import { useTranslation } from "react-i18next";
import { ErrorBlock } from "../../../shared/error-block.tsx";
import { PageTitle } from "../../../shared/page-title.tsx";
import { useSignIn, useSignUp } from "../api/session.ts";

interface Props {
  readonly mode: "sign-in" | "sign-up";
  readonly onDone: () => void;
  /** What follows the form: the way to the other one. */
  readonly children: ReactNode;
}

/** Sign-in and sign-up: the same two fields, and a name for a new account. */
export function CredentialsForm({ mode, onDone, children }: Props): ReactNode {
  const { t } = useTranslation();
  const [email, setEmail] = useState("");
  const [password, setPassword] = useState("");
  const [name, setName] = useState("");
  const signIn = useSignIn();
  const signUp = useSignUp();
  const isNew = mode === "sign-up";
  const action = isNew ? signUp : signIn;
  const submit = (event: SyntheticEvent): void => {
    event.preventDefault();
    const trimmed = name.trim();
    action.mutate({ email, password, ...(isNew && trimmed !== "" ? { name: trimmed } : {}) }, { onSuccess: onDone });
  };
  return (
    <Container size={420} py="xl" component="main" id="content" tabIndex={-1}>
      <Stack gap="md">
        <PageTitle text={isNew ? t("signUp.title") : t("signIn.title")} />
        <Paper withBorder p="lg">
          <form onSubmit={submit}>
            <Stack>
              {isNew && (
                <TextInput
                  label={t("signUp.name")}
                  autoComplete="name"
                  maxLength={100}
                  value={name}
                  onChange={(event) => setName(event.currentTarget.value)}
                />
              )}
              <TextInput
                required
                type="email"
                label={t("signIn.email")}
                autoComplete="username"
                maxLength={254}
                value={email}
                onChange={(event) => setEmail(event.currentTarget.value)}
              />
              <PasswordInput
                required
                minLength={isNew ? 12 : 1}
                label={t("signIn.password")}
                description={isNew ? t("signUp.passwordHint") : undefined}
                visibilityToggleButtonProps={{ "aria-label": t("signIn.showPassword") }}
                autoComplete={isNew ? "new-password" : "current-password"}
                value={password}
                onChange={(event) => setPassword(event.currentTarget.value)}
              />
              {action.error && <ErrorBlock error={action.error} />}
              <Button type="submit" loading={action.isPending}>
                {isNew ? t("signUp.submit") : t("signIn.submit")}
              </Button>
            </Stack>
          </form>
        </Paper>
        {children}
      </Stack>
    </Container>
  );
}
