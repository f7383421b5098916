import { Anchor, Group, Text } from "@mantine/core";
import { createLink, useNavigate, useSearch } from "@tanstack/react-router";
import type { ReactNode } from "react";
import { useTranslation } from "react-i18next";
import { CredentialsForm } from "../features/session/components/credentials-form.tsx";
import { LanguageSwitch } from "./language-switch.tsx";
import { pagePath } from "./pages.ts";

const AnchorLink = createLink(Anchor<"a">);

export function SignInPage(): ReactNode {
  return <Credentials mode="sign-in" />;
}

export function SignUpPage(): ReactNode {
  return <Credentials mode="sign-up" />;
}

function Credentials({ mode }: { readonly mode: "sign-in" | "sign-up" }): ReactNode {
  const { t } = useTranslation();
  const navigate = useNavigate();
  // Checked here too: the router hands on what the route's own validation left out.
  const search: Readonly<Record<string, unknown>> = useSearch({ strict: false });
  const next = pagePath(search["next"]);
  return (
    <>
      <Group justify="space-between" px="md" h={60} component="header">
        <Text fw={700}>{t("app.name")}</Text>
        <LanguageSwitch />
      </Group>
      <CredentialsForm mode={mode} onDone={() => void navigate({ to: next ?? "/" })}>
        <AnchorLink to={mode === "sign-in" ? "/sign-up" : "/sign-in"} search={next === undefined ? {} : { next }}>
          {mode === "sign-in" ? t("signIn.toSignUp") : t("signUp.toSignIn")}
        </AnchorLink>
      </CredentialsForm>
    </>
  );
}
