import { isPermitted, type Account, type OperatedAccount, type OperatedSession } from "@codex/contracts";
import { Button, Text } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { useState, type ReactNode } from "react";
import { useTranslation } from "react-i18next";
import { ErrorBlock } from "../../../shared/error-block.tsx";
import { timeText } from "../../../shared/format.ts";
import { Loading } from "../../../shared/query-states.tsx";
import { Rows, type Column } from "../../../shared/rows.tsx";
import { Section } from "../../../shared/section.tsx";
import { accountSessionsQuery, useEndAccountSession } from "../api/sessions.ts";
import { ReasonDialog } from "./reason-dialog.tsx";

interface Props {
  readonly account: OperatedAccount;
  readonly self: Account;
}

/** Where the customer is signed in, and lately was; who may end sessions ends a single one here. */
export function AccountSessions({ account, self }: Props): ReactNode {
  const { t, i18n } = useTranslation();
  const { data, error, refetch } = useQuery(accountSessionsQuery(account.accountId));
  const [ending, setEnding] = useState<OperatedSession>();
  const mayEnd = account.accountId !== self.accountId && isPermitted(self.role, "accounts.end-sessions");
  const time = (instant: string): string => timeText(instant, i18n.language);
  const columns: readonly Column<OperatedSession>[] = [
    { title: t("operator.device"), cell: ({ device }) => device ?? t("security.unknownDevice") },
    { title: t("operator.signedIn"), cell: ({ createdAt }) => time(createdAt) },
    { title: t("operator.lastUse"), cell: ({ lastSeenAt }) => time(lastSeenAt) },
    { title: t("operator.method"), cell: ({ factor }) => t(`signInMethod.${factor}`) },
    {
      title: t("operator.state"),
      cell: ({ state, overAt }) => [t(`sessionState.${state}`), ...(overAt === null ? [] : [time(overAt)])].join(", "),
    },
    ...(mayEnd
      ? [
          {
            title: t("operator.do"),
            cell: (session: OperatedSession) => <EndButton session={session} onEnd={setEnding} />,
          },
        ]
      : []),
  ];
  return (
    <Section title={t("operator.accountSessions")}>
      {error && !data && <ErrorBlock error={error} onRetry={() => void refetch()} />}
      {!data && !error && <Loading height={80} />}
      {data?.length === 0 && <Text>{t("operator.sessionsNone")}</Text>}
      {data && data.length > 0 && (
        <Rows
          label={t("operator.accountSessions")}
          rows={data}
          columns={columns}
          keyOf={(session) => session.sessionRef}
          testId="account-session"
        />
      )}
      <EndDialog account={account} session={ending} onClose={() => setEnding(undefined)} />
    </Section>
  );
}

interface EndButtonProps {
  readonly session: OperatedSession;
  readonly onEnd: (session: OperatedSession) => void;
}

function EndButton({ session, onEnd }: EndButtonProps): ReactNode {
  const { t, i18n } = useTranslation();
  if (session.state !== "live") return "—";
  return (
    <Button
      size="xs"
      variant="default"
      aria-label={t("security.endOf", { time: timeText(session.createdAt, i18n.language) })}
      onClick={() => onEnd(session)}
    >
      {t("security.end")}
    </Button>
  );
}

interface EndDialogProps {
  readonly account: OperatedAccount;
  readonly session: OperatedSession | undefined;
  readonly onClose: () => void;
}

function EndDialog({ account: { accountId, email }, session, onClose }: EndDialogProps): ReactNode {
  const { t, i18n } = useTranslation();
  const end = useEndAccountSession(accountId);
  const close = (): void => {
    end.reset();
    onClose();
  };
  const time = session === undefined ? "" : timeText(session.createdAt, i18n.language);
  return (
    <ReasonDialog
      opened={session !== undefined}
      title={t("operator.endOne")}
      text={t("operator.endOneText", { email, time })}
      pending={end.isPending}
      error={end.error}
      onClose={close}
      onAct={(reason) => {
        if (session) end.mutate({ sessionRef: session.sessionRef, reason }, { onSuccess: onClose });
      }}
    />
  );
}
