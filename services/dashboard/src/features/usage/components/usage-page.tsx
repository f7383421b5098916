import { Stack } from "@mantine/core";
import { useInfiniteQuery } from "@tanstack/react-query";
import { useState, type ReactNode } from "react";
import { useTranslation } from "react-i18next";
import { ErrorBlock } from "../../../shared/error-block.tsx";
import { PageTitle } from "../../../shared/page-title.tsx";
import { Empty, Loading } from "../../../shared/query-states.tsx";
import { ShowMore } from "../../../shared/show-more.tsx";
import { useNarrow } from "../../../shared/use-narrow.ts";
import { usageQuery } from "../api/usage.ts";
import { ReceiptDialog } from "./receipt-dialog.tsx";
import { UsageCards, UsageTable } from "./usage-list.tsx";

export function UsagePage(): ReactNode {
  const { t } = useTranslation();
  const narrow = useNarrow();
  const query = useInfiniteQuery(usageQuery);
  const { data, error, refetch } = query;
  const [receiptOf, setReceiptOf] = useState<string>();
  const lines = data?.pages.flatMap((page) => page.usage);
  const list = lines && lines.length > 0 ? { lines, onReceipt: setReceiptOf } : undefined;
  return (
    <Stack gap="lg">
      <PageTitle text={t("usage.title")} />
      {error && !lines && <ErrorBlock error={error} onRetry={() => void refetch()} />}
      {!lines && !error && <Loading height={200} />}
      {lines?.length === 0 && <Empty text={t("usage.empty")} step={{ to: "/", text: t("home.firstStep") }} />}
      {list && (narrow ? <UsageCards {...list} /> : <UsageTable {...list} />)}
      {lines && <ShowMore list={query} />}
      <ReceiptDialog requestId={receiptOf} onClose={() => setReceiptOf(undefined)} />
    </Stack>
  );
}
