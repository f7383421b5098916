import type { UsageReceipt } from "@codex/contracts";
import { Alert, Code, Divider, Group, Modal, Stack, Table, Text } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import type { ReactNode } from "react";
import { useTranslation } from "react-i18next";
import { ErrorBlock } from "../../../shared/error-block.tsx";
import { amountText, countText, decimalText, timeText } from "../../../shared/format.ts";
import { Loading } from "../../../shared/query-states.tsx";
import { useNarrow } from "../../../shared/use-narrow.ts";
import { receiptQuery } from "../api/usage.ts";

interface Props {
  readonly requestId: string | undefined;
  readonly onClose: () => void;
}

/** The sum of one request, so that anybody can check it. */
export function ReceiptDialog({ requestId, onClose }: Props): ReactNode {
  const { t } = useTranslation();
  return (
    <Modal
      opened={requestId !== undefined}
      onClose={onClose}
      title={t("usage.detailsTitle")}
      size="lg"
      closeButtonProps={{ "aria-label": t("app.close") }}
    >
      {requestId !== undefined && <Receipt requestId={requestId} />}
    </Modal>
  );
}

function Receipt({ requestId }: { readonly requestId: string }): ReactNode {
  const { t, i18n } = useTranslation();
  const narrow = useNarrow();
  const { data, error, refetch } = useQuery(receiptQuery(requestId));
  if (error) return <ErrorBlock error={error} onRetry={() => void refetch()} />;
  if (!data) return <Loading height={240} />;
  const facts = [
    { name: t("usage.priceVersion"), value: data.priceVersion },
    { name: t("usage.transfer"), value: data.transferId },
    { name: t("usage.request"), value: data.usage.requestId },
  ];
  return (
    <Stack gap="sm">
      <Text size="sm" className="wrap">
        {data.usage.model} · {timeText(data.usage.startedAt, i18n.language)}
      </Text>
      {data.usage.estimated && <Alert color="yellow">{t("usage.estimatedText")}</Alert>}
      {data.lines.length > 0 && (narrow ? <Sums lines={data.lines} /> : <SumTable lines={data.lines} />)}
      <Terms receipt={data} />
      <Group justify="space-between" wrap="nowrap">
        <Text fw={700}>{t("usage.charged")}</Text>
        <Text fw={700} className="number" data-testid="receipt-charged">
          {amountText(data.charged, i18n.language)} {t("app.tokens")}
        </Text>
      </Group>
      <Text size="sm">{t("usage.rounding")}</Text>
      <Divider />
      {facts.map(({ name, value }) => (
        <Text size="sm" key={name}>
          {name}: {value === null ? t("usage.noTransfer") : <Code className="wrap">{value}</Code>}
        </Text>
      ))}
    </Stack>
  );
}

const ppm = 1_000_000;

/** What the lines do not say: a tier, a time of the week, a group. Nothing when none of them changed the price. */
function Terms({ receipt: { terms, exact } }: { readonly receipt: UsageReceipt }): ReactNode {
  const { t, i18n } = useTranslation();
  const { tierAboveInputTokens, offPeakPpm, priceGroup, groupPpm } = terms;
  const share = (multiplierPpm: number): string => (multiplierPpm / ppm).toLocaleString(i18n.language);
  return (
    <>
      {tierAboveInputTokens !== null && (
        <Text size="sm">{t("usage.longContext", { tokens: countText(tierAboveInputTokens, i18n.language) })}</Text>
      )}
      {(offPeakPpm !== ppm || groupPpm !== ppm) && (
        <Text size="sm">
          {t("usage.multiplier", {
            offPeak: share(offPeakPpm),
            group: priceGroup,
            share: share(groupPpm),
            exact: decimalText(exact, i18n.language),
          })}
        </Text>
      )}
    </>
  );
}

/** What the rate of a class is for: "/ 1,000,000" of tokens, "/ 1,000" of milliseconds; one of what is priced by the piece. */
function unitOf(lineClass: string): number {
  if (lineClass === "request" || lineClass === "image") return 1;
  return lineClass === "audio" ? 1_000 : ppm;
}

type Lines = UsageReceipt["lines"];

function SumTable({ lines }: { readonly lines: Lines }): ReactNode {
  const { t, i18n } = useTranslation();
  return (
    <Table>
      <Table.Thead>
        <Table.Tr>
          <Table.Th>{t("usage.class")}</Table.Th>
          <Table.Th ta="right">{t("usage.quantity")}</Table.Th>
          <Table.Th ta="right">{t("usage.rate")}</Table.Th>
          <Table.Th ta="right">{t("usage.exact")}</Table.Th>
        </Table.Tr>
      </Table.Thead>
      <Table.Tbody>
        {lines.map((line) => (
          <Table.Tr key={line.class}>
            <Table.Td>{t(`usage.tokenClass.${line.class}`)}</Table.Td>
            <Table.Td ta="right" className="number">
              {countText(line.quantity, i18n.language)}
            </Table.Td>
            <Table.Td ta="right" className="number">
              {amountText(line.rate, i18n.language)}
            </Table.Td>
            <Table.Td ta="right" className="number" data-testid="exact" data-exact={line.exact}>
              {decimalText(line.exact, i18n.language)}
            </Table.Td>
          </Table.Tr>
        ))}
      </Table.Tbody>
    </Table>
  );
}

/** The same on a phone: one sum a class. */
function Sums({ lines }: { readonly lines: Lines }): ReactNode {
  const { t, i18n } = useTranslation();
  return (
    <Stack gap="xs">
      {lines.map((line) => (
        <div key={line.class}>
          <Group justify="space-between" wrap="nowrap">
            <Text size="sm" fw={600}>
              {t(`usage.tokenClass.${line.class}`)}
            </Text>
            <Text size="sm" className="number" data-testid="exact" data-exact={line.exact}>
              {decimalText(line.exact, i18n.language)}
            </Text>
          </Group>
          <Text size="sm" className="number">
            {countText(line.quantity, i18n.language)} × {amountText(line.rate, i18n.language)}
            {unitOf(line.class) === 1 ? "" : ` / ${countText(unitOf(line.class), i18n.language)}`}
          </Text>
        </div>
      ))}
    </Stack>
  );
}
