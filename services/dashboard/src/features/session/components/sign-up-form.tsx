import { Alert, Anchor, Checkbox, Text, TextInput } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { useState, type ReactNode } from "react";
import { useTranslation } from "react-i18next";
import { ErrorBlock } from "../../../shared/error-block.tsx";
import { Loading } from "../../../shared/query-states.tsx";
import { rulesQuery } from "../../../shared/registration.ts";
import { useSignUp } from "../api/recovery.ts";
import { EmailField, FormPaper, NarrowPage, PasswordField } from "./form-frame.tsx";

/** A new account: each document has a box of its own, unticked. The account exists once the mailed link was opened. */
export function SignUpForm({ children }: { readonly children: ReactNode }): ReactNode {
  const { t, i18n } = useTranslation();
  const rules = useQuery(rulesQuery);
  const signUp = useSignUp();
  const [email, setEmail] = useState("");
  const [password, setPassword] = useState("");
  const [name, setName] = useState("");
  const invitation = /^[\w-]{43}$/.exec(window.location.hash.slice(1))?.[0];
  if (rules.error && !rules.data) return <ErrorBlock error={rules.error} onRetry={() => void rules.refetch()} />;
  if (!rules.data) return <Loading height={300} />;
  const { consents, passwordCharactersMin, registration } = rules.data;
  if (signUp.isSuccess) return <MailSent />;
  if (registration === "closed" || (registration === "invite" && invitation === undefined)) {
    return (
      <NarrowPage title={t("signUp.title")}>
        <Text>{t(registration === "closed" ? "signUp.closed" : "signUp.byInvitation")}</Text>
        {children}
      </NarrowPage>
    );
  }
  const submit = (): void => {
    const trimmed = name.trim();
    signUp.mutate({
      email,
      password,
      consents,
      language: i18n.language,
      ...(trimmed === "" ? {} : { name: trimmed }),
      ...(invitation === undefined ? {} : { invitation }),
    });
  };
  return (
    <NarrowPage title={t("signUp.title")}>
      <FormPaper submit={t("signUp.submit")} pending={signUp.isPending} error={signUp.error} onSubmit={submit}>
        <TextInput
          label={t("signUp.name")}
          autoComplete="name"
          maxLength={100}
          value={name}
          onChange={(event) => setName(event.currentTarget.value)}
        />
        <EmailField value={email} onChange={setEmail} />
        <PasswordField value={password} onChange={setPassword} charactersMin={passwordCharactersMin} />
        {consents.map(({ document, version }) => (
          <ConsentBox key={document} document={document} version={version} />
        ))}
      </FormPaper>
      {children}
    </NarrowPage>
  );
}

/** A document that the operator added has no text of ours: it is named as it is. */
function ConsentBox({ document, version }: { readonly document: string; readonly version: string }): ReactNode {
  const { t, i18n } = useTranslation();
  const key = `consent.${document.replaceAll("-", "_")}`;
  return <Checkbox required label={t(i18n.exists(key) ? key : "consent.other", { document, version })} />;
}

/** The same for every address: whether it has an account stands in the mail only. */
export function MailSent(): ReactNode {
  const { t } = useTranslation();
  const { data: rules } = useQuery(rulesQuery);
  return (
    <NarrowPage title={t("mail.title")}>
      <Alert color="green" variant="light" role="status">
        <Text size="sm">{t("mail.text")}</Text>
      </Alert>
      {rules?.demoMailbox === true && <Anchor href="/mailbox">{t("mail.demo")}</Anchor>}
    </NarrowPage>
  );
}
