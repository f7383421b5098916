import type { ApiKey } from "@codex/contracts";
import { Button, Group, Paper, Stack, Table, Text, VisuallyHidden } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { useRef, useState, type ReactNode } from "react";
import { useTranslation } from "react-i18next";
import { ErrorBlock } from "../../../shared/error-block.tsx";
import { timeText } from "../../../shared/format.ts";
import { Empty, Loading, StaleNote } from "../../../shared/query-states.tsx";
import { Status } from "../../../shared/status.tsx";
import { useNarrow } from "../../../shared/use-narrow.ts";
import { keysQuery } from "../api/keys.ts";
import { RevokeDialog } from "./revoke-dialog.tsx";

/** The account's keys, with a way to revoke each. */
export function KeyList(): ReactNode {
  const { t } = useTranslation();
  const narrow = useNarrow();
  const { data, error, refetch, dataUpdatedAt } = useQuery(keysQuery);
  const [revoking, setRevoking] = useState<ApiKey>();
  const opener = useRef<HTMLElement>(null);
  const region = useRef<HTMLDivElement>(null);
  if (error && !data) return <ErrorBlock error={error} onRetry={() => void refetch()} />;
  if (!data) return <Loading height={120} />;
  if (data.length === 0) return <Empty text={t("keys.empty")} />;
  const onRevoke = (key: ApiKey): void => {
    opener.current = document.activeElement instanceof HTMLElement ? document.activeElement : null;
    setRevoking(key);
  };
  const focusBack = (): void => (opener.current?.isConnected === true ? opener.current : region.current)?.focus();
  const list = { keys: data, onRevoke };
  return (
    <>
      {error && <StaleNote since={dataUpdatedAt} />}
      <div ref={region} tabIndex={-1} role="region" aria-label={t("keys.table")}>
        {narrow ? <KeyCards {...list} /> : <KeyTable {...list} />}
      </div>
      <RevokeDialog revoking={revoking} onClose={() => setRevoking(undefined)} onClosed={focusBack} />
    </>
  );
}

interface ListProps {
  readonly keys: readonly ApiKey[];
  readonly onRevoke: (key: ApiKey) => void;
}

function KeyTable({ keys, onRevoke }: ListProps): ReactNode {
  const { t, i18n } = useTranslation();
  return (
    <Table verticalSpacing="sm">
      <Table.Thead>
        <Table.Tr>
          <Table.Th>{t("keys.name")}</Table.Th>
          <Table.Th>{t("keys.prefix")}</Table.Th>
          <Table.Th>{t("keys.status")}</Table.Th>
          <Table.Th>{t("keys.created")}</Table.Th>
          <Table.Th>
            <VisuallyHidden>{t("keys.actions")}</VisuallyHidden>
          </Table.Th>
        </Table.Tr>
      </Table.Thead>
      <Table.Tbody>
        {keys.map((key) => (
          <Table.Tr key={key.keyId}>
            <Table.Td className="wrap">{key.name}</Table.Td>
            <Table.Td ff="monospace">{key.prefix}…</Table.Td>
            <Table.Td>
              <State status={key.status} />
            </Table.Td>
            <Table.Td className="nowrap">{timeText(key.createdAt, i18n.language)}</Table.Td>
            <Table.Td ta="right">
              <RevokeButton apiKey={key} onRevoke={onRevoke} />
            </Table.Td>
          </Table.Tr>
        ))}
      </Table.Tbody>
    </Table>
  );
}

function KeyCards({ keys, onRevoke }: ListProps): ReactNode {
  const { i18n } = useTranslation();
  return (
    <Stack gap="sm">
      {keys.map((key) => (
        <Paper withBorder p="md" key={key.keyId}>
          <Group justify="space-between" wrap="nowrap">
            <Text fw={600} className="wrap">
              {key.name}
            </Text>
            <State status={key.status} />
          </Group>
          <Text ff="monospace" size="sm">
            {key.prefix}…
          </Text>
          <Group justify="space-between" mt="xs" mih={30}>
            <Text size="sm">{timeText(key.createdAt, i18n.language)}</Text>
            <RevokeButton apiKey={key} onRevoke={onRevoke} />
          </Group>
        </Paper>
      ))}
    </Stack>
  );
}

function State({ status }: { readonly status: ApiKey["status"] }): ReactNode {
  const { t } = useTranslation();
  return <Status good={status === "active"} text={t(`keys.state.${status}`)} />;
}

interface RevokeProps {
  readonly apiKey: ApiKey;
  readonly onRevoke: (key: ApiKey) => void;
}

function RevokeButton({ apiKey, onRevoke }: RevokeProps): ReactNode {
  const { t } = useTranslation();
  if (apiKey.status !== "active") return null;
  return (
    <Button
      size="xs"
      variant="default"
      aria-label={t("keys.revokeOf", { name: apiKey.name })}
      onClick={() => onRevoke(apiKey)}
    >
      {t("keys.revoke")}
    </Button>
  );
}
