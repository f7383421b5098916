import type { AuditLine } from "@codex/contracts";
import { Anchor, Code, Stack, Text } from "@mantine/core";
import { useInfiniteQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { useState, type ReactNode } from "react";
import { useTranslation } from "react-i18next";
import { ActDetails } from "../../../shared/act-details.tsx";
import { actText } from "../../../shared/act-text.ts";
import { ErrorBlock } from "../../../shared/error-block.tsx";
import { timeText } from "../../../shared/format.ts";
import { PageTitle } from "../../../shared/page-title.tsx";
import { Loading } from "../../../shared/query-states.tsx";
import { Rows, type Column } from "../../../shared/rows.tsx";
import { ShowMore } from "../../../shared/show-more.tsx";
import { auditQuery, type AuditSearch } from "../api/operators.ts";
import { AuditSearchForm, everything } from "./audit-search-form.tsx";

/** The audit logs of the services as one: who did what to whom, and why. */
export function AuditPage(): ReactNode {
  const { t } = useTranslation();
  const [search, setSearch] = useState(everything);
  return (
    <Stack gap="lg">
      <PageTitle text={t("operator.audit")} />
      <Text>{t("operator.auditText")}</Text>
      <AuditSearchForm onSearch={setSearch} />
      <Lines search={search} />
    </Stack>
  );
}

function Lines({ search }: { readonly search: AuditSearch }): ReactNode {
  const { t, i18n } = useTranslation();
  const list = useInfiniteQuery(auditQuery(search));
  const { data, error, refetch } = list;
  if (error && !data) return <ErrorBlock error={error} onRetry={() => void refetch()} />;
  if (!data) return <Loading height={200} />;
  const lines = data.pages.flatMap((page) => page.lines);
  const columns: readonly Column<AuditLine>[] = [
    { title: t("account.at"), cell: ({ at }) => timeText(at, i18n.language) },
    { title: t("account.act"), cell: ({ action }) => actText(t, i18n, action) },
    { title: t("operator.actor"), cell: ({ actorId }) => <Who accountId={actorId} none={t("operator.commandLine")} /> },
    { title: t("operator.account"), cell: ({ accountId }) => <Who accountId={accountId} none="—" /> },
    { title: t("account.reason"), cell: ({ reason }) => reason ?? "—" },
    { title: t("account.details"), cell: (line) => <ActDetails line={line} /> },
    { title: t("operator.line"), cell: (line) => <Place line={line} /> },
  ];
  return (
    <>
      {lines.length === 0 ? (
        <Text role="status">{t("operator.auditNone")}</Text>
      ) : (
        <Rows
          label={t("operator.audit")}
          rows={lines}
          columns={columns}
          keyOf={({ actId }) => actId}
          testId="audit-line"
        />
      )}
      <ShowMore list={list} />
    </>
  );
}

/** Number of the line in its log, and the beginning of the hash that fixes it. */
function Place({ line: { seq, hash } }: { readonly line: AuditLine }): ReactNode {
  return (
    <>
      {seq}{" "}
      <Code title={hash} className="nowrap">
        {hash.slice(0, 8)}
      </Code>
    </>
  );
}

function Who({ accountId, none }: { readonly accountId: string | null; readonly none: string }): ReactNode {
  if (accountId === null) return none;
  return (
    <Anchor
      underline="always"
      size="sm"
      className="wrap"
      renderRoot={(props) => <Link to="/operator/accounts/$accountId" params={{ accountId }} {...props} />}
    >
      {accountId}
    </Anchor>
  );
}
