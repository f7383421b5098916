import type { ApiKey } from "@codex/contracts";
import { Badge, Button, Group, Modal, Skeleton, Stack, Table, Text, TextInput, Title } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { useState, type ReactNode, type SyntheticEvent } from "react";
import { useTranslation } from "react-i18next";
import { ErrorBlock } from "../../../shared/error-block.tsx";
import { timeText } from "../../../shared/format.ts";
import { keysQuery, useCreateKey, useRevokeKey } from "../api/keys.ts";
import { SecretDialog } from "./secret-dialog.tsx";

export function KeysPage(): ReactNode {
  const { t } = useTranslation();
  const create = useCreateKey();
  const [name, setName] = useState("");
  const [secret, setSecret] = useState<string>();
  const submit = (event: SyntheticEvent): void => {
    event.preventDefault();
    create.mutate(name.trim(), {
      onSuccess: (created) => {
        setName("");
        setSecret(created.secret);
      },
    });
  };
  return (
    <Stack gap="lg">
      <Title order={1} size="h2">
        {t("keys.title")}
      </Title>
      <form onSubmit={submit}>
        <Group align="end">
          <TextInput
            required
            maxLength={100}
            label={t("keys.name")}
            placeholder={t("keys.namePlaceholder")}
            value={name}
            onChange={(event) => setName(event.currentTarget.value)}
          />
          <Button type="submit" loading={create.isPending}>
            {t("keys.create")}
          </Button>
        </Group>
      </form>
      {create.error && <ErrorBlock error={create.error} />}
      <KeyTable />
      <SecretDialog secret={secret} onClose={() => setSecret(undefined)} />
    </Stack>
  );
}

function KeyTable(): ReactNode {
  const { t, i18n } = useTranslation();
  const { data, error, refetch } = useQuery(keysQuery);
  const [revoking, setRevoking] = useState<ApiKey>();
  if (error) return <ErrorBlock error={error} onRetry={() => void refetch()} />;
  if (!data) return <Skeleton height={120} radius="md" />;
  if (data.length === 0) return <Text>{t("keys.empty")}</Text>;
  return (
    <>
      <Table.ScrollContainer minWidth={600} tabIndex={0} role="region" aria-label={t("keys.table")}>
        <Table>
          <Table.Thead>
            <Table.Tr>
              <Table.Th>{t("keys.name")}</Table.Th>
              <Table.Th>{t("keys.prefix")}</Table.Th>
              <Table.Th>{t("keys.status")}</Table.Th>
              <Table.Th>{t("keys.created")}</Table.Th>
              <Table.Th aria-label={t("keys.revoke")} />
            </Table.Tr>
          </Table.Thead>
          <Table.Tbody>
            {data.map((key) => (
              <Table.Tr key={key.keyId}>
                <Table.Td>{key.name}</Table.Td>
                <Table.Td ff="monospace">{key.prefix}…</Table.Td>
                <Table.Td>
                  <Badge color={key.status === "active" ? "green" : "gray"}>{t(`keys.${key.status}`)}</Badge>
                </Table.Td>
                <Table.Td>{timeText(key.createdAt, i18n.language)}</Table.Td>
                <Table.Td>
                  {key.status === "active" && (
                    <Button size="xs" color="red" variant="outline" onClick={() => setRevoking(key)}>
                      {t("keys.revoke")}
                    </Button>
                  )}
                </Table.Td>
              </Table.Tr>
            ))}
          </Table.Tbody>
        </Table>
      </Table.ScrollContainer>
      <RevokeDialog revoking={revoking} onClose={() => setRevoking(undefined)} />
    </>
  );
}

function RevokeDialog({ revoking, onClose }: { readonly revoking: ApiKey | undefined; readonly onClose: () => void }): ReactNode {
  const { t } = useTranslation();
  const revoke = useRevokeKey();
  return (
    <Modal opened={revoking !== undefined} onClose={onClose} title={t("keys.revokeTitle")}>
      <Text mb="md">{t("keys.revokeText", { name: revoking?.name ?? "" })}</Text>
      {revoke.error && <ErrorBlock error={revoke.error} />}
      <Group justify="end">
        <Button variant="default" onClick={onClose}>
          {t("keys.cancel")}
        </Button>
        <Button color="red" loading={revoke.isPending} onClick={() => revoking && revoke.mutate(revoking.keyId, { onSuccess: onClose })}>
          {t("keys.revoke")}
        </Button>
      </Group>
    </Modal>
  );
}
