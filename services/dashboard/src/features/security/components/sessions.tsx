import { Button, Group, Text } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import type { ReactNode } from "react";
import { useTranslation } from "react-i18next";
import { ErrorBlock } from "../../../shared/error-block.tsx";
import { timeText } from "../../../shared/format.ts";
import { Loading } from "../../../shared/query-states.tsx";
import { Section } from "../../../shared/section.tsx";
import { sessionsQuery, useEndOthers, useEndSession } from "../api/security.ts";

/** Where the account is signed in. */
export function SessionsSection(): ReactNode {
  const { t, i18n } = useTranslation();
  const { data, error, refetch } = useQuery(sessionsQuery);
  const end = useEndSession();
  const endOthers = useEndOthers();
  const failure = end.error ?? endOthers.error;
  return (
    <Section title={t("security.sessions")}>
      {error && !data && <ErrorBlock error={error} onRetry={() => void refetch()} />}
      {!data && !error && <Loading height={80} />}
      {data?.map((session) => (
        <Group key={session.sessionId} justify="space-between" data-testid="session">
          <Text className="wrap">
            {session.device ?? t("security.unknownDevice")}, {timeText(session.lastSeenAt, i18n.language)}
            {session.current ? `, ${t("security.thisSession")}` : ""}
          </Text>
          {!session.current && (
            <Button
              size="xs"
              variant="default"
              aria-label={t("security.endOf", { time: timeText(session.createdAt, i18n.language) })}
              onClick={() => end.mutate(session.sessionId)}
            >
              {t("security.end")}
            </Button>
          )}
        </Group>
      ))}
      {(data?.length ?? 0) > 1 && (
        <Group>
          <Button variant="default" loading={endOthers.isPending} onClick={() => endOthers.mutate(undefined)}>
            {t("security.endOthers")}
          </Button>
        </Group>
      )}
      {failure && <ErrorBlock error={failure} />}
    </Section>
  );
}
