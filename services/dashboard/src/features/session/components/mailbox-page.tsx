import { Anchor, Card, Container, Stack, Text } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import type { ReactNode } from "react";
import { useTranslation } from "react-i18next";
import { ErrorBlock } from "../../../shared/error-block.tsx";
import { timeText } from "../../../shared/format.ts";
import { PageTitle } from "../../../shared/page-title.tsx";
import { Loading } from "../../../shared/query-states.tsx";
import { mailboxQuery } from "../api/recovery.ts";

/** What a demo installation would have sent. Elsewhere there is no such page: the service answers 404. */
export function MailboxPage(): ReactNode {
  const { t, i18n } = useTranslation();
  const { data, error, refetch } = useQuery(mailboxQuery);
  return (
    <Container size={720} py="xl" component="main" id="content" tabIndex={-1}>
      <Stack gap="md">
        <PageTitle text={t("mailbox.title")} />
        <Text>{t("mailbox.text")}</Text>
        {error && !data && <ErrorBlock error={error} onRetry={() => void refetch()} />}
        {!data && !error && <Loading height={200} />}
        {data?.length === 0 && <Text>{t("mailbox.empty")}</Text>}
        {data?.map((mail) => (
          <Card key={`${mail.to} ${mail.sentAt} ${mail.subject}`} withBorder padding="md" data-testid="mail">
            <Text fw={600} className="wrap">
              {mail.subject}
            </Text>
            <Text size="sm" className="wrap">
              {mail.to}, {timeText(mail.sentAt, i18n.language)}
            </Text>
            {mail.text
              .split("\n")
              .filter((line) => line !== "")
              .map((line) => (
                <MailLine key={line} line={line} />
              ))}
          </Card>
        ))}
      </Stack>
    </Container>
  );
}

/** Only a link to a page of ours can be followed. */
function MailLine({ line }: { readonly line: string }): ReactNode {
  const url = /https?:\/\/\S+$/.exec(line)?.[0];
  if (url === undefined || !url.startsWith(`${window.location.origin}/`)) return <Text className="wrap">{line}</Text>;
  return (
    <Text className="wrap">
      {line.slice(0, -url.length)}
      <Anchor underline="always" href={url.slice(window.location.origin.length)}>
        {url}
      </Anchor>
    </Text>
  );
}
