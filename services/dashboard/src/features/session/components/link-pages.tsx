import { Alert, Anchor, Text } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { useState, type ReactNode } from "react";
import { useTranslation } from "react-i18next";
import { rulesQuery } from "../../../shared/registration.ts";
import { useConfirmEmail, useLinkMail, useReset } from "../api/recovery.ts";
import { useSignInByLink, useVerify, type SignedIn } from "../api/session.ts";
import { EmailField, FormPaper, NarrowPage, PasswordField } from "./form-frame.tsx";
import { SecondFactorForm } from "./sign-in-form.tsx";
import { MailSent } from "./sign-up-form.tsx";

/** Pages that a mailed link opens. The token stands behind `#`: it is sent by a POST of ours and by nothing else. */
function useToken(): string {
  return useState(() => window.location.hash.slice(1))[0];
}

interface DoneProps {
  readonly onDone: () => void;
}

/** The address is proved by the link, and the person by the password that was chosen. */
export function VerifyForm({ onDone }: DoneProps): ReactNode {
  const { t } = useTranslation();
  const token = useToken();
  const [password, setPassword] = useState("");
  const verify = useVerify();
  return (
    <NarrowPage title={t("verify.title")}>
      <Text>{t("verify.text")}</Text>
      <FormPaper
        submit={t("verify.submit")}
        pending={verify.isPending}
        error={verify.error}
        onSubmit={() => verify.mutate({ token, password }, { onSuccess: onDone })}
      >
        <PasswordField value={password} onChange={setPassword} />
      </FormPaper>
    </NarrowPage>
  );
}

/** Without a token: asks for a mail. With one: a new password, which signs nobody in. */
export function ResetForm({ children }: { readonly children: ReactNode }): ReactNode {
  const { t } = useTranslation();
  const token = useToken();
  const { data: rules } = useQuery(rulesQuery);
  const [password, setPassword] = useState("");
  const reset = useReset();
  if (token === "") return <AskForLink kind="reset" title={t("reset.title")} text={t("reset.ask")} more={children} />;
  return (
    <NarrowPage title={t("reset.title")}>
      {reset.isSuccess ? (
        <Alert color="green" variant="light" role="status">
          <Text size="sm">{t("reset.done")}</Text>
        </Alert>
      ) : (
        <FormPaper
          submit={t("reset.submit")}
          pending={reset.isPending}
          error={reset.error}
          onSubmit={() => reset.mutate({ token, password })}
        >
          <PasswordField value={password} onChange={setPassword} charactersMin={rules?.passwordCharactersMin ?? 12} />
        </FormPaper>
      )}
      {children}
    </NarrowPage>
  );
}

interface AskProps {
  readonly kind: "reset" | "sign-in";
  readonly title: string;
  readonly text: string;
  readonly more?: ReactNode;
}

function AskForLink({ kind, title, text, more }: AskProps): ReactNode {
  const { t, i18n } = useTranslation();
  const [email, setEmail] = useState("");
  const ask = useLinkMail(kind);
  if (ask.isSuccess) return <MailSent />;
  return (
    <NarrowPage title={title}>
      <Text>{text}</Text>
      <FormPaper
        submit={t("mail.send")}
        pending={ask.isPending}
        error={ask.error}
        onSubmit={() => ask.mutate({ email, language: i18n.language })}
      >
        <EmailField value={email} onChange={setEmail} />
      </FormPaper>
      {more}
    </NarrowPage>
  );
}

/** When only a mailed link signs in any more. */
export function SignInLinkForm({ onDone }: DoneProps): ReactNode {
  const { t } = useTranslation();
  const token = useToken();
  const [password, setPassword] = useState("");
  const signIn = useSignInByLink();
  if (token === "") return <AskForLink kind="sign-in" title={t("signInLink.title")} text={t("signInLink.ask")} />;
  if (signIn.data && "secondFactor" in signIn.data) {
    return <SecondFactorForm {...signIn.data.secondFactor} onDone={onDone} onRestart={() => signIn.reset()} />;
  }
  const done = (answer: SignedIn): void => {
    if ("account" in answer) onDone();
  };
  return (
    <NarrowPage title={t("signInLink.title")}>
      <FormPaper
        submit={t("signIn.submit")}
        pending={signIn.isPending}
        error={signIn.error}
        onSubmit={() => signIn.mutate({ token, password }, { onSuccess: done })}
      >
        <PasswordField value={password} onChange={setPassword} />
      </FormPaper>
    </NarrowPage>
  );
}

/** By a button, so that a scanner of mails that opens the page confirms nothing. */
export function ConfirmEmailForm(): ReactNode {
  const { t } = useTranslation();
  const token = useToken();
  const confirm = useConfirmEmail();
  return (
    <NarrowPage title={t("emailChange.title")}>
      {confirm.isSuccess ? (
        <>
          <Alert color="green" variant="light" role="status">
            <Text size="sm">{t("emailChange.done")}</Text>
          </Alert>
          <Anchor href="/">{t("notFound.home")}</Anchor>
        </>
      ) : (
        <FormPaper
          submit={t("emailChange.confirm")}
          pending={confirm.isPending}
          error={confirm.error}
          onSubmit={() => confirm.mutate(token)}
        >
          <Text>{t("emailChange.text")}</Text>
        </FormPaper>
      )}
    </NarrowPage>
  );
}
