import type { UsageLine } from "@codex/contracts";
import { Button, Group, Paper, Stack, Table, Text, VisuallyHidden } from "@mantine/core";
import type { ReactNode } from "react";
import { useTranslation } from "react-i18next";
import { amountText, countText, timeText } from "../../../shared/format.ts";
import { Status } from "../../../shared/status.tsx";

interface ListProps {
  readonly lines: readonly UsageLine[];
  readonly onReceipt: (requestId: string) => void;
}

/** Digits after the point in a column of charges, so that the points stand under each other. */
const chargeDigits = 6;

export function UsageTable({ lines, onReceipt }: ListProps): ReactNode {
  const { t, i18n } = useTranslation();
  return (
    <Table.ScrollContainer
      minWidth={980}
      scrollAreaProps={{ viewportProps: { tabIndex: 0, role: "region", "aria-label": t("usage.table") } }}
    >
      <Table highlightOnHover verticalSpacing="sm">
        <Table.Thead>
          <Table.Tr>
            <Table.Th>{t("usage.time")}</Table.Th>
            <Table.Th>{t("usage.model")}</Table.Th>
            <Table.Th ta="right">{t("usage.tokens")}</Table.Th>
            <Table.Th ta="right">{t("usage.charged")}</Table.Th>
            <Table.Th>{t("usage.outcome")}</Table.Th>
            <Table.Th>{t("usage.request")}</Table.Th>
            <Table.Th>
              <VisuallyHidden>{t("usage.details")}</VisuallyHidden>
            </Table.Th>
          </Table.Tr>
        </Table.Thead>
        <Table.Tbody>
          {lines.map((line) => (
            <Table.Tr key={line.requestId} data-testid="usage-line">
              <Table.Td className="nowrap">{timeText(line.startedAt, i18n.language)}</Table.Td>
              <Table.Td className="nowrap">{line.model}</Table.Td>
              <Table.Td ta="right" className="number">
                <Tokens line={line} />
              </Table.Td>
              <Table.Td ta="right" className="number" data-testid="charged">
                {amountText(line.charged, i18n.language, chargeDigits)}
              </Table.Td>
              <Table.Td>
                <Outcome status={line.status} />
              </Table.Td>
              <Table.Td ff="monospace" fz="xs">
                {line.requestId}
              </Table.Td>
              <Table.Td ta="right">
                <ReceiptButton requestId={line.requestId} onReceipt={onReceipt} />
              </Table.Td>
            </Table.Tr>
          ))}
        </Table.Tbody>
      </Table>
    </Table.ScrollContainer>
  );
}

export function UsageCards({ lines, onReceipt }: ListProps): ReactNode {
  const { t, i18n } = useTranslation();
  return (
    <Stack gap="sm" role="region" aria-label={t("usage.table")}>
      {lines.map((line) => (
        <Paper withBorder p="md" key={line.requestId} data-testid="usage-line">
          <Group justify="space-between" wrap="nowrap" align="start">
            <Text fw={600} className="wrap">
              {line.model}
            </Text>
            <Text fw={600} className="number" data-testid="charged">
              {amountText(line.charged, i18n.language, chargeDigits)}
            </Text>
          </Group>
          <Group justify="space-between" mt={4}>
            <Text size="sm">{timeText(line.startedAt, i18n.language)}</Text>
            <Text size="sm" span>
              <Outcome status={line.status} />
            </Text>
          </Group>
          <Group justify="space-between" mt="xs">
            <Text size="sm" className="number">
              <Tokens line={line} />
            </Text>
            <ReceiptButton requestId={line.requestId} onReceipt={onReceipt} />
          </Group>
          <Text ff="monospace" fz="xs" mt="xs" className="wrap">
            {line.requestId}
          </Text>
        </Paper>
      ))}
    </Stack>
  );
}

function Tokens({ line: { tokens, estimated } }: { readonly line: UsageLine }): ReactNode {
  const { t, i18n } = useTranslation();
  const input = tokens.input + tokens.cachedInput + tokens.cacheWrite + tokens.cacheWrite1h;
  const output = tokens.output + tokens.reasoning;
  return (
    <>
      {countText(input, i18n.language)} → {countText(output, i18n.language)}
      {estimated && ` (${t("usage.estimated")})`}
    </>
  );
}

function Outcome({ status }: { readonly status: UsageLine["status"] }): ReactNode {
  const { t } = useTranslation();
  return <Status good={status === "ok"} text={t(`usage.status.${status}`)} />;
}

interface ReceiptButtonProps {
  readonly requestId: string;
  readonly onReceipt: (requestId: string) => void;
}

function ReceiptButton({ requestId, onReceipt }: ReceiptButtonProps): ReactNode {
  const { t } = useTranslation();
  return (
    <Button
      size="xs"
      variant="default"
      aria-label={t("usage.detailsOf", { request: requestId })}
      onClick={() => onReceipt(requestId)}
    >
      {t("usage.details")}
    </Button>
  );
}
