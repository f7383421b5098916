import { Anchor, Button, Container, Paper, PasswordInput, Stack, TextInput, Title } from "@mantine/core";
import { useState, type ReactNode, type SyntheticEvent } from "react";
import { useTranslation } from "react-i18next";
import { ErrorBlock } from "../../../shared/error-block.tsx";
import { useSignIn, useSignUp } from "../api/session.ts";

interface Props {
  readonly mode: "sign-in" | "sign-up";
  readonly onDone: () => void;
}

/** Sign-in and sign-up: the same two fields, and a name for a new account. */
export function CredentialsForm({ mode, onDone }: Props): ReactNode {
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
    <Container size={420} py="xl" component="main" id="content">
      <Title order={1} size="h2" mb="md">
        {t(isNew ? "signUp.title" : "signIn.title")}
      </Title>
      <Paper withBorder p="lg" radius="md">
        <form onSubmit={submit}>
          <Stack>
            {isNew && <TextInput label={t("signUp.name")} autoComplete="name" value={name} onChange={(event) => setName(event.currentTarget.value)} />}
            <TextInput required type="email" label={t("signIn.email")} autoComplete="username" value={email} onChange={(event) => setEmail(event.currentTarget.value)} />
            <PasswordInput
              required
              minLength={isNew ? 12 : 1}
              label={t("signIn.password")}
              description={isNew ? t("signUp.passwordHint") : undefined}
              autoComplete={isNew ? "new-password" : "current-password"}
              value={password}
              onChange={(event) => setPassword(event.currentTarget.value)}
            />
            {action.error && <ErrorBlock error={action.error} />}
            <Button type="submit" loading={action.isPending}>
              {t(isNew ? "signUp.submit" : "signIn.submit")}
            </Button>
          </Stack>
        </form>
      </Paper>
      <Anchor href={isNew ? "/sign-in" : "/sign-up"} mt="md" display="inline-block">
        {t(isNew ? "signUp.toSignIn" : "signIn.toSignUp")}
      </Anchor>
    </Container>
  );
}
