import type { Account, Language } from "@codex/contracts";
import { Button, Group, Stack, Text, TextInput } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { useState, type ReactNode, type SyntheticEvent } from "react";
import { useTranslation } from "react-i18next";
import { ErrorBlock } from "../../../shared/error-block.tsx";
import { timeText } from "../../../shared/format.ts";
import { MailLanguage } from "../../../shared/mail-language.tsx";
import { PageTitle } from "../../../shared/page-title.tsx";
import { Loading } from "../../../shared/query-states.tsx";
import { Done, FieldForm, Section } from "../../../shared/section.tsx";
import { sessionQuery } from "../../../shared/session.ts";
import { useAskForEmail, useChangeProfile } from "../api/account.ts";
import { ConsentsSection, HistorySection } from "./records.tsx";

/** Who the account is, how it is reached, what it agreed to, and what was done to it. */
export function AccountPage(): ReactNode {
  const { t } = useTranslation();
  const { data: account } = useQuery(sessionQuery);
  return (
    <Stack gap="lg">
      <PageTitle text={t("account.title")} />
      {account ? (
        <>
          <ProfileSection key={account.accountId} account={account} />
          <EmailSection account={account} />
        </>
      ) : (
        <Loading height={300} />
      )}
      <ConsentsSection />
      <HistorySection />
    </Stack>
  );
}

interface Props {
  readonly account: Account;
}

function ProfileSection({ account }: Props): ReactNode {
  const { t, i18n } = useTranslation();
  const change = useChangeProfile();
  const [name, setName] = useState(account.name ?? "");
  const [language, setLanguage] = useState<Language>(account.language);
  const submit = (event: SyntheticEvent): void => {
    event.preventDefault();
    change.mutate({ name: name.trim() === "" ? null : name.trim(), language });
  };
  return (
    <Section title={t("account.profile")}>
      <Text size="sm" className="wrap">
        {t("account.number", { id: account.accountId, time: timeText(account.createdAt, i18n.language) })}
      </Text>
      <form onSubmit={submit}>
        <Group align="end" gap="sm">
          <TextInput
            label={t("signUp.name")}
            autoComplete="name"
            maxLength={100}
            miw={200}
            flex={{ base: 1, sm: "0 1 22rem" }}
            value={name}
            onChange={(event) => setName(event.currentTarget.value)}
          />
          <MailLanguage value={language} onChange={setLanguage} />
          <Button type="submit" loading={change.isPending}>
            {t("account.save")}
          </Button>
        </Group>
      </form>
      {change.error && <ErrorBlock error={change.error} />}
      {change.isSuccess && <Done text={t("account.saved")} />}
    </Section>
  );
}

function EmailSection({ account }: Props): ReactNode {
  const { t } = useTranslation();
  const email = useAskForEmail();
  return (
    <Section title={t("signIn.email")}>
      <Text className="wrap" data-testid="own-email">
        {account.email}
      </Text>
      <Text size="sm">{t("account.notices")}</Text>
      <FieldForm
        type="email"
        label={t("account.newEmail")}
        submit={t("account.emailChange")}
        pending={email.isPending}
        error={email.error}
        onSubmit={(value, taken) => email.mutate(value, { onSuccess: taken })}
      />
      {email.isSuccess && <Done text={t("account.emailAsked")} />}
    </Section>
  );
}
