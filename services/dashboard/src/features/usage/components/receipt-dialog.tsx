import { Modal, Skeleton, Stack, Table, Text } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import type { ReactNode } from "react";
import { useTranslation } from "react-i18next";
import { ErrorBlock } from "../../../shared/error-block.tsx";
import { amountText, countText } from "../../../shared/format.ts";
import { receiptQuery } from "../api/usage.ts";

interface Props {
  readonly requestId: string | undefined;
  readonly onClose: () => void;
}

/** The sum of one request, so that anybody can check it. */
export function ReceiptDialog({ requestId, onClose }: Props): ReactNode {
  const { t } = useTranslation();
  return (
    <Modal opened={requestId !== undefined} onClose={onClose} title={t("usage.detailsTitle")} size="xl" closeButtonProps={{ "aria-label": t("usage.close") }}>
      {requestId !== undefined && <Receipt requestId={requestId} />}
    </Modal>
  );
}

function Receipt({ requestId }: { readonly requestId: string }): ReactNode {
  const { t, i18n } = useTranslation();
  const { data, error, refetch } = useQuery(receiptQuery(requestId));
  if (error) return <ErrorBlock error={error} onRetry={() => void refetch()} />;
  if (!data) return <Skeleton height={160} />;
  return (
    <Stack gap="sm">
      <Table>
        <Table.Thead>
          <Table.Tr>
            {(["class", "quantity", "rate", "exact"] as const).map((column) => (
              <Table.Th key={column}>{t(`usage.${column}`)}</Table.Th>
            ))}
          </Table.Tr>
        </Table.Thead>
        <Table.Tbody>
          {data.lines.map((line) => (
            <Table.Tr key={line.class}>
              <Table.Td>{line.class}</Table.Td>
              <Table.Td>{countText(line.quantity, i18n.language)}</Table.Td>
              <Table.Td>{amountText(line.rate, i18n.language)}</Table.Td>
              <Table.Td ff="monospace">{line.exact}</Table.Td>
            </Table.Tr>
          ))}
        </Table.Tbody>
      </Table>
      <Text fw={700}>
        {t("usage.charged")}: {amountText(data.charged, i18n.language)} {t("home.tokens")}
      </Text>
      <Text size="sm">{t("usage.rounding")}</Text>
      <Text size="sm">
        {t("usage.priceVersion")}: <code>{data.priceVersion}</code>
      </Text>
      <Text size="sm">
        {t("usage.transfer")}: {data.transferId === null ? t("usage.noTransfer") : <code>{data.transferId}</code>}
      </Text>
      <Text size="sm">
        {t("usage.request")}: <code>{data.usage.requestId}</code>
      </Text>
    </Stack>
  );
}
