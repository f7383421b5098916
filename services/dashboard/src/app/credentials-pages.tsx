import { Anchor, Group, Stack, Text } from "@mantine/core";
import { createLink, useNavigate, useSearch } from "@tanstack/react-router";
import type { ReactNode } from "react";
import { useTranslation } from "react-i18next";
import { FirstOperatorForm } from "../features/session/components/first-operator-form.tsx";
import { ConfirmEmailForm, ResetForm, SignInLinkForm, VerifyForm } from "../features/session/components/link-pages.tsx";
import { MailboxPage as Mailbox } from "../features/session/components/mailbox-page.tsx";
import { SignInForm } from "../features/session/components/sign-in-form.tsx";
import { SignUpForm } from "../features/session/components/sign-up-form.tsx";
import { LanguageSwitch } from "./language-switch.tsx";
import { pagePath, type PagePath } from "./pages.ts";

const AnchorLink = createLink(Anchor<"a">);

/** Pages of somebody who is not signed in, with the way between them. */
function Outside({ children }: { readonly children: ReactNode }): ReactNode {
  const { t } = useTranslation();
  return (
    <>
      <Group justify="space-between" px="md" h={60} component="header">
        <Text fw={700}>{t("app.name")}</Text>
        <LanguageSwitch />
      </Group>
      {children}
    </>
  );
}

function useNext(): { readonly search: { next?: PagePath }; readonly go: () => void } {
  const navigate = useNavigate();
  // Checked here too: the router hands on what the route's own validation left out.
  const search: Readonly<Record<string, unknown>> = useSearch({ strict: false });
  const next = pagePath(search["next"]);
  return { search: next === undefined ? {} : { next }, go: () => void navigate({ to: next ?? "/" }) };
}

export function SignInPage(): ReactNode {
  const { t } = useTranslation();
  const { search, go } = useNext();
  return (
    <Outside>
      <SignInForm onDone={go}>
        <Stack gap="xs">
          <AnchorLink to="/sign-up" search={search}>
            {t("signIn.toSignUp")}
          </AnchorLink>
          <AnchorLink to="/reset">{t("signIn.toReset")}</AnchorLink>
          <AnchorLink to="/sign-in-link">{t("signIn.toLink")}</AnchorLink>
        </Stack>
      </SignInForm>
    </Outside>
  );
}

export function SignUpPage(): ReactNode {
  const { t } = useTranslation();
  const { search } = useNext();
  return (
    <Outside>
      <SignUpForm>
        <AnchorLink to="/sign-in" search={search}>
          {t("signUp.toSignIn")}
        </AnchorLink>
      </SignUpForm>
    </Outside>
  );
}

export function VerifyPage(): ReactNode {
  const { go } = useNext();
  return (
    <Outside>
      <VerifyForm onDone={go} />
    </Outside>
  );
}

export function ResetPage(): ReactNode {
  const { t } = useTranslation();
  return (
    <Outside>
      <ResetForm>
        <AnchorLink to="/sign-in">{t("reset.toSignIn")}</AnchorLink>
      </ResetForm>
    </Outside>
  );
}

export function SignInLinkPage(): ReactNode {
  const { go } = useNext();
  return (
    <Outside>
      <SignInLinkForm onDone={go} />
    </Outside>
  );
}

export function ConfirmEmailPage(): ReactNode {
  return (
    <Outside>
      <ConfirmEmailForm />
    </Outside>
  );
}

export function MailboxPage(): ReactNode {
  return (
    <Outside>
      <Mailbox />
    </Outside>
  );
}

export function FirstOperatorPage(): ReactNode {
  const navigate = useNavigate();
  return (
    <Outside>
      <FirstOperatorForm onDone={() => void navigate({ to: "/second-factor" })} />
    </Outside>
  );
}
