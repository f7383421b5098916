import type { Language } from "@codex/contracts";
import { Button, Group, Stack, Text, TextInput } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { useState, type ReactNode, type SyntheticEvent } from "react";
import { useTranslation } from "react-i18next";
import { ErrorBlock } from "../../../shared/error-block.tsx";
import { MailLanguage } from "../../../shared/mail-language.tsx";
import { PageTitle } from "../../../shared/page-title.tsx";
import { Loading } from "../../../shared/query-states.tsx";
import { rulesQuery } from "../../../shared/registration.ts";
import { Done, Section } from "../../../shared/section.tsx";
import { useInvite } from "../api/operators.ts";

/** Who may register, and a mail with a link for somebody who shall. */
export function InvitationsPage(): ReactNode {
  const { t } = useTranslation();
  const { data, error, refetch } = useQuery(rulesQuery);
  return (
    <Stack gap="lg">
      <PageTitle text={t("operator.invitations")} />
      <Section title={t("operator.registration")}>
        {error && !data && <ErrorBlock error={error} onRetry={() => void refetch()} />}
        {!data && !error && <Loading height={40} />}
        {data && <Text data-testid="registration-mode">{t(`registration.${data.registration}`)}</Text>}
        <Text size="sm">{t("operator.registrationSetting")}</Text>
      </Section>
      <InviteSection />
    </Stack>
  );
}

function InviteSection(): ReactNode {
  const { t, i18n } = useTranslation();
  const invite = useInvite();
  const [email, setEmail] = useState("");
  const [language, setLanguage] = useState<Language>(i18n.language === "en" ? "en" : "ru");
  const submit = (event: SyntheticEvent): void => {
    event.preventDefault();
    invite.mutate({ email, language }, { onSuccess: () => setEmail("") });
  };
  return (
    <Section title={t("operator.invite")}>
      <Text>{t("operator.inviteText")}</Text>
      <form onSubmit={submit}>
        <Group align="end" gap="sm">
          <TextInput
            required
            type="email"
            label={t("signIn.email")}
            autoComplete="off"
            maxLength={254}
            miw={200}
            flex={{ base: 1, sm: "0 1 22rem" }}
            value={email}
            onChange={(event) => setEmail(event.currentTarget.value)}
          />
          <MailLanguage value={language} onChange={setLanguage} />
          <Button type="submit" loading={invite.isPending}>
            {t("operator.inviteSend")}
          </Button>
        </Group>
      </form>
      {invite.error && <ErrorBlock error={invite.error} />}
      {invite.isSuccess && <Done text={t("operator.invited")} />}
    </Section>
  );
}
