import { Anchor, Card, Code, Group, SimpleGrid, Skeleton, Stack, Text, Title } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import type { ReactNode } from "react";
import { useTranslation } from "react-i18next";
import { ErrorBlock } from "../../../shared/error-block.tsx";
import { amountText } from "../../../shared/format.ts";
import { balanceQuery } from "../api/balance.ts";

export function HomePage(): ReactNode {
  const { t } = useTranslation();
  return (
    <Stack gap="lg">
      <Title order={1} size="h2">
        {t("home.title")}
      </Title>
      <BalanceCards />
      <Card withBorder radius="md" padding="lg">
        <Title order={2} size="h4">
          {t("home.firstStep")}
        </Title>
        <Text size="sm" my="xs">
          {t("home.firstStepText")}
        </Text>
        <Code block tabIndex={0} role="region" aria-label={t("home.firstStep")}>
          {curlExample(window.location.origin)}
        </Code>
        <Anchor href="/keys" mt="sm">
          {t("home.createKey")}
        </Anchor>
      </Card>
    </Stack>
  );
}

function BalanceCards(): ReactNode {
  const { t, i18n } = useTranslation();
  const { data, error, refetch } = useQuery(balanceQuery);
  if (error && !data) return <ErrorBlock error={error} onRetry={() => void refetch()} />;
  if (!data) return <Skeleton height={120} radius="md" />;
  const parts = [
    { label: t("home.paid"), value: data.paid },
    { label: t("home.bonus"), value: data.bonus },
    { label: t("home.held"), value: data.held },
  ];
  return (
    <Card withBorder radius="md" padding="lg">
      <Text size="sm">{t("home.available")}</Text>
      <Group gap="xs" align="baseline">
        <Text fz={36} fw={700} data-testid="available">
          {amountText(data.available, i18n.language)}
        </Text>
        <Text>{t("home.tokens")}</Text>
      </Group>
      <SimpleGrid cols={{ base: 1, sm: 3 }} mt="md">
        {parts.map(({ label, value }) => (
          <div key={label}>
            <Text size="sm">{label}</Text>
            <Text fw={600}>{amountText(value, i18n.language)}</Text>
          </div>
        ))}
      </SimpleGrid>
      <Text size="sm" mt="md">
        {t("home.order")}
      </Text>
    </Card>
  );
}

function curlExample(origin: string): string {
  return [
    `curl -N ${origin}/v1/chat/completions \\`,
    `  -H "Authorization: Bearer $CODEX_KEY" \\`,
    `  -H 'content-type: application/json' \\`,
    `  -d '{"model":"demo-small","stream":true,"messages":[{"role":"user","content":"Привет!"}]}'`,
  ].join("\n");
}
