import type { UsageLine } from "@codex/contracts";
import { Badge, Button, Skeleton, Stack, Table, Text, Title } from "@mantine/core";
import { useInfiniteQuery } from "@tanstack/react-query";
import { useState, type ReactNode } from "react";
import { useTranslation } from "react-i18next";
import { ErrorBlock } from "../../../shared/error-block.tsx";
import { amountText, countText, timeText } from "../../../shared/format.ts";
import { usageQuery } from "../api/usage.ts";
import { ReceiptDialog } from "./receipt-dialog.tsx";

export function UsagePage(): ReactNode {
  const { t } = useTranslation();
  const { data, error, refetch, hasNextPage, fetchNextPage, isFetchingNextPage } = useInfiniteQuery(usageQuery);
  const [receiptOf, setReceiptOf] = useState<string>();
  const lines = data?.pages.flatMap((page) => page.usage);
  return (
    <Stack gap="lg">
      <Title order={1} size="h2">
        {t("usage.title")}
      </Title>
      {error && !lines && <ErrorBlock error={error} onRetry={() => void refetch()} />}
      {!lines && !error && <Skeleton height={200} radius="md" />}
      {lines?.length === 0 && <Text>{t("usage.empty")}</Text>}
      {lines && lines.length > 0 && <UsageTable lines={lines} onReceipt={setReceiptOf} />}
      {hasNextPage && (
        <Button variant="default" loading={isFetchingNextPage} onClick={() => void fetchNextPage()}>
          {t("usage.more")}
        </Button>
      )}
      <ReceiptDialog requestId={receiptOf} onClose={() => setReceiptOf(undefined)} />
    </Stack>
  );
}

interface TableProps {
  readonly lines: readonly UsageLine[];
  readonly onReceipt: (requestId: string) => void;
}

function UsageTable({ lines, onReceipt }: TableProps): ReactNode {
  const { t, i18n } = useTranslation();
  return (
    <Table.ScrollContainer minWidth={900} tabIndex={0} role="region" aria-label={t("usage.table")}>
      <Table highlightOnHover>
        <Table.Thead>
          <Table.Tr>
            {(["time", "model", "tokens", "charged", "status", "request"] as const).map((column) => (
              <Table.Th key={column}>{t(`usage.${column}`)}</Table.Th>
            ))}
            <Table.Th aria-label={t("usage.details")} />
          </Table.Tr>
        </Table.Thead>
        <Table.Tbody>
          {lines.map((line) => (
            <Table.Tr key={line.requestId}>
              <Table.Td>{timeText(line.startedAt, i18n.language)}</Table.Td>
              <Table.Td>{line.model}</Table.Td>
              <Table.Td>
                {countText(line.tokens.input + line.tokens.cachedInput + line.tokens.cacheWrite, i18n.language)} →{" "}
                {countText(line.tokens.output + line.tokens.reasoning, i18n.language)}
                {line.estimated && ` (${t("usage.estimated")})`}
              </Table.Td>
              <Table.Td>{amountText(line.charged, i18n.language)}</Table.Td>
              <Table.Td>
                <Badge color={line.status === "ok" ? "green" : "orange"}>{t(`usage.${line.status}`)}</Badge>
              </Table.Td>
              <Table.Td ff="monospace" fz="xs">
                {line.requestId}
              </Table.Td>
              <Table.Td>
                <Button size="xs" variant="default" onClick={() => onReceipt(line.requestId)}>
                  {t("usage.details")}
                </Button>
              </Table.Td>
            </Table.Tr>
          ))}
        </Table.Tbody>
      </Table>
    </Table.ScrollContainer>
  );
}
