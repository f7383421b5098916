import { isPermitted, type Account, type OperatedAccount } from "@codex/contracts";
import { Anchor, Button, Group, Stack, Text } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { Link, useParams } from "@tanstack/react-router";
import { useState, type ReactNode } from "react";
import { useTranslation } from "react-i18next";
import { ErrorBlock } from "../../../shared/error-block.tsx";
import { timeText } from "../../../shared/format.ts";
import { PageTitle } from "../../../shared/page-title.tsx";
import { Loading } from "../../../shared/query-states.tsx";
import { Section } from "../../../shared/section.tsx";
import { sessionQuery } from "../../../shared/session.ts";
import { accountQuery } from "../api/operators.ts";
import { AccountSessions } from "./account-sessions.tsx";
import { AccountState } from "./account-state.tsx";
import { ActDialog, type Verb } from "./act-dialog.tsx";

/** One account as an operator may see it: what it is and in which state, never a secret of it. */
export function OperatedAccountPage(): ReactNode {
  const { t } = useTranslation();
  const params: Readonly<Record<string, unknown>> = useParams({ strict: false });
  const { data: account, error, refetch } = useQuery(accountQuery(String(params["accountId"])));
  const { data: self } = useQuery(sessionQuery);
  return (
    <Stack gap="lg">
      <Anchor underline="always" renderRoot={(props) => <Link to="/operator/accounts" {...props} />}>
        {t("operator.back")}
      </Anchor>
      <PageTitle text={account?.email ?? t("operator.account")} />
      {error && !account && <ErrorBlock error={error} onRetry={() => void refetch()} />}
      {!account && !error && <Loading height={300} />}
      {account && (
        <>
          <Facts account={account} />
          {self && <Acts account={account} self={self} />}
          {self && <AccountSessions account={account} self={self} />}
        </>
      )}
    </Stack>
  );
}

function Facts({ account }: { readonly account: OperatedAccount }): ReactNode {
  const { t, i18n } = useTranslation();
  const time = (instant: string): string => timeText(instant, i18n.language);
  const facts: readonly (readonly [string, ReactNode])[] = [
    [t("operator.number"), account.accountId],
    [t("operator.name"), account.name ?? "—"],
    [t("operator.role"), t(`role.${account.role}`)],
    [t("operator.state"), <AccountState account={account} />],
    ...(account.blockedAt === null ? [] : [[t("operator.blockedAt"), time(account.blockedAt)] as const]),
    ...(account.mailSignals.length === 0
      ? []
      : [
          [
            t("operator.mailSignals"),
            account.mailSignals.map((signal) => t(`mailSignal.${signal}`)).join(", "),
          ] as const,
        ]),
    [t("operator.since"), time(account.createdAt)],
    [t("operator.factor"), account.secondFactor ? t("operator.factorSet") : t("operator.factorNone")],
    [t("operator.sessions"), String(account.liveSessions)],
  ];
  return (
    <Section title={t("operator.facts")}>
      <dl className="facts">
        {facts.map(([name, value]) => (
          <div key={name}>
            <Text component="dt" size="sm" c="dimmed">
              {name}
            </Text>
            <Text component="dd" className="wrap" m={0}>
              {value}
            </Text>
          </div>
        ))}
      </dl>
    </Section>
  );
}

interface ActsProps {
  readonly account: OperatedAccount;
  readonly self: Account;
}

/** Nobody acts on the own account, and each role sees what it may do. */
function Acts({ account, self }: ActsProps): ReactNode {
  const { t } = useTranslation();
  const [verb, setVerb] = useState<Verb>();
  const blocked = account.blockedAt !== null;
  const buttons: readonly { readonly verb: Verb; readonly text: string; readonly may: boolean }[] = [
    {
      verb: blocked ? "unblock" : "block",
      text: blocked ? t("operator.unblock") : t("operator.block"),
      may: isPermitted(self.role, "accounts.block"),
    },
    {
      verb: "end-sessions",
      text: t("operator.endSessions"),
      may: isPermitted(self.role, "accounts.end-sessions") && account.liveSessions > 0,
    },
    { verb: "role", text: t("operator.setRole"), may: isPermitted(self.role, "accounts.set-role") },
  ];
  return (
    <Section title={t("operator.do")}>
      {account.accountId === self.accountId ? (
        <Text>{t("operator.ownAccount")}</Text>
      ) : (
        <Group>
          {buttons
            .filter(({ may }) => may)
            .map((button) => (
              <Button key={button.verb} variant="default" onClick={() => setVerb(button.verb)}>
                {button.text}
              </Button>
            ))}
        </Group>
      )}
      <ActDialog account={account} verb={verb} onClose={() => setVerb(undefined)} />
    </Section>
  );
}
