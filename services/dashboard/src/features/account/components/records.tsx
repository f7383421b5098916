import type { consent, OwnAuditLine } from "@codex/contracts";
import { Text } from "@mantine/core";
import { useInfiniteQuery, useQuery } from "@tanstack/react-query";
import type { ReactNode } from "react";
import { useTranslation } from "react-i18next";
import type * as z from "zod";
import { ActDetails } from "../../../shared/act-details.tsx";
import { actText } from "../../../shared/act-text.ts";
import { ErrorBlock } from "../../../shared/error-block.tsx";
import { timeText } from "../../../shared/format.ts";
import { Loading } from "../../../shared/query-states.tsx";
import { Rows, type Column } from "../../../shared/rows.tsx";
import { Section } from "../../../shared/section.tsx";
import { ShowMore } from "../../../shared/show-more.tsx";
import { consentsQuery, historyQuery } from "../api/account.ts";

/** Which document in which version, and when: as it was kept on agreeing. */
export function ConsentsSection(): ReactNode {
  const { t, i18n } = useTranslation();
  const { data, error, refetch } = useQuery(consentsQuery);
  const columns: readonly Column<z.output<typeof consent>>[] = [
    { title: t("account.document"), cell: ({ document }) => <DocumentName document={document} /> },
    { title: t("account.version"), cell: ({ version }) => version },
    { title: t("account.agreedAt"), cell: ({ at }) => timeText(at, i18n.language) },
  ];
  const keyOf = ({ document, version }: z.output<typeof consent>): string => `${document} ${version}`;
  return (
    <Section title={t("account.consents")}>
      {error && !data && <ErrorBlock error={error} onRetry={() => void refetch()} />}
      {!data && !error && <Loading height={80} />}
      {data?.length === 0 && <Text>{t("account.consentsNone")}</Text>}
      {data && data.length > 0 && (
        <Rows label={t("account.consents")} rows={data} columns={columns} keyOf={keyOf} testId="consent" />
      )}
    </Section>
  );
}

/** A document that the operator added has no text of ours: it is named as it is. */
function DocumentName({ document }: { readonly document: string }): ReactNode {
  const { t, i18n } = useTranslation();
  const key = `document.${document.replaceAll("-", "_")}`;
  return i18n.exists(key) ? t(key) : document;
}

/** What was done to the account, its keys and its money: by the owner, by operators, by the service itself. */
export function HistorySection(): ReactNode {
  const { t, i18n } = useTranslation();
  const list = useInfiniteQuery(historyQuery);
  const { data, error, refetch } = list;
  const lines = data?.pages.flatMap((page) => page.lines);
  const columns: readonly Column<OwnAuditLine>[] = [
    { title: t("account.at"), cell: ({ at }) => timeText(at, i18n.language) },
    { title: t("account.act"), cell: ({ action }) => actText(t, i18n, action) },
    { title: t("account.by"), cell: ({ by }) => t(`by.${by}`) },
    { title: t("account.reason"), cell: ({ reason }) => reason ?? "—" },
    { title: t("account.details"), cell: (line) => <ActDetails line={line} /> },
  ];
  return (
    <Section title={t("account.acts")}>
      {error && !data && <ErrorBlock error={error} onRetry={() => void refetch()} />}
      {!lines && !error && <Loading height={80} />}
      {lines?.length === 0 && <Text>{t("account.actsNone")}</Text>}
      {lines && lines.length > 0 && (
        <Rows label={t("account.acts")} rows={lines} columns={columns} keyOf={({ actId }) => actId} testId="act" />
      )}
      {data && <ShowMore list={list} />}
    </Section>
  );
}
