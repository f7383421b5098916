import { Alert, Button, Group, Stack, Text } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import type { ReactNode } from "react";
import { useTranslation } from "react-i18next";
import { ErrorBlock } from "../../../shared/error-block.tsx";
import { PageTitle } from "../../../shared/page-title.tsx";
import { Loading } from "../../../shared/query-states.tsx";
import { securityQuery, useAskForEmail, useChangeName, useChangePassword, useProve } from "../api/security.ts";
import { PasskeySection, RecoverySection, TotpSection } from "./factors.tsx";
import { FieldForm, Section } from "./section.tsx";
import { ActsSection, SessionsSection } from "./sessions.tsx";

/** Password, factors, sessions, and what operators did. Changes need a proof of the last five minutes. */
export function SecurityPage(): ReactNode {
  const { t } = useTranslation();
  const { data, error, refetch } = useQuery(securityQuery);
  return (
    <Stack gap="lg">
      <PageTitle text={t("security.title")} />
      {error && !data && <ErrorBlock error={error} onRetry={() => void refetch()} />}
      {!data && !error && <Loading height={400} />}
      {data && (
        <>
          {data.reauthenticatedUntil === null && <ProofSection totp={data.totp} passkeys={data.passkeys.length > 0} />}
          <TotpSection overview={data} />
          <PasskeySection overview={data} />
          <RecoverySection overview={data} />
          <ProfileSection />
          <SessionsSection />
          <ActsSection />
        </>
      )}
    </Stack>
  );
}

/** The sign-in is some time ago: is it still the same person? */
function ProofSection({ totp, passkeys }: { readonly totp: boolean; readonly passkeys: boolean }): ReactNode {
  const { t } = useTranslation();
  const prove = useProve();
  return (
    <Section title={t("security.proof")}>
      <Text>{t("security.proofText")}</Text>
      <FieldForm
        type="current-password"
        label={totp ? t("security.passwordOrCode") : t("signIn.password")}
        submit={t("security.proofSubmit")}
        pending={prove.isPending}
        error={prove.error}
        onSubmit={(value) => prove.mutate(totp && /^\d{6}$/.test(value) ? { totp: value } : { password: value })}
      />
      {passkeys && (
        <Group>
          <Button variant="default" onClick={() => prove.mutate("passkey")}>
            {t("signIn.passkey")}
          </Button>
        </Group>
      )}
    </Section>
  );
}

function ProfileSection(): ReactNode {
  const { t } = useTranslation();
  const password = useChangePassword();
  const email = useAskForEmail();
  const name = useChangeName();
  return (
    <Section title={t("security.account")}>
      <FieldForm
        type="new-password"
        label={t("signIn.newPassword")}
        submit={t("security.change")}
        pending={password.isPending}
        error={password.error}
        onSubmit={(value) => password.mutate(value)}
      />
      {password.isSuccess && <Done text={t("security.passwordChanged")} />}
      <FieldForm
        type="email"
        label={t("security.newEmail")}
        submit={t("security.emailChange")}
        pending={email.isPending}
        error={email.error}
        onSubmit={(value) => email.mutate(value)}
      />
      {email.isSuccess && <Done text={t("security.emailAsked")} />}
      <FieldForm
        label={t("signUp.name")}
        required={false}
        submit={t("security.nameSave")}
        pending={name.isPending}
        error={name.error}
        onSubmit={(value) => name.mutate(value.trim())}
      />
      {name.isSuccess && <Done text={t("security.saved")} />}
    </Section>
  );
}

function Done({ text }: { readonly text: string }): ReactNode {
  return (
    <Alert color="green" variant="light" role="status">
      <Text size="sm">{text}</Text>
    </Alert>
  );
}
