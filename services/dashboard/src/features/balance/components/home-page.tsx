import { Alert, Button, Card, Code, Group, SimpleGrid, Stack, Text, Title } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import type { ReactNode } from "react";
import { useTranslation } from "react-i18next";
import { Copy } from "../../../shared/copy.tsx";
import { ErrorBlock } from "../../../shared/error-block.tsx";
import { amountParts, amountText } from "../../../shared/format.ts";
import { PageTitle } from "../../../shared/page-title.tsx";
import { Loading, StaleNote } from "../../../shared/query-states.tsx";
import { balanceQuery } from "../api/balance.ts";

export function HomePage(): ReactNode {
  const { t } = useTranslation();
  return (
    <Stack gap="lg">
      <PageTitle text={t("home.title")} />
      <BalanceCard />
      <FirstRequestCard />
    </Stack>
  );
}

function BalanceCard(): ReactNode {
  const { t, i18n } = useTranslation();
  const { data, error, refetch, dataUpdatedAt } = useQuery(balanceQuery);
  if (error && !data) return <ErrorBlock error={error} onRetry={() => void refetch()} />;
  if (!data) return <Loading height={200} />;
  const available = amountParts(data.available, i18n.language);
  const parts = [
    { label: t("home.paid"), value: data.paid },
    { label: t("home.bonus"), value: data.bonus },
    { label: t("home.held"), value: data.held },
  ];
  return (
    <Card withBorder padding="lg">
      <Text size="sm">{t("home.available")}</Text>
      <Group gap="xs" align="baseline">
        <Text span fw={700} lh={1.3} fz={{ base: 28, sm: 36 }} className="number" data-testid="available">
          {available.whole}
          <Text span inherit fz="0.6em" fw={600}>
            {available.fraction}
          </Text>
        </Text>
        <Text span>{t("app.tokens")}</Text>
      </Group>
      <SimpleGrid cols={{ base: 1, sm: 3 }} mt="md">
        {parts.map(({ label, value }) => (
          <div key={label}>
            <Text size="sm">{label}</Text>
            <Text fw={600} className="number">
              {amountText(value, i18n.language)}
            </Text>
          </div>
        ))}
      </SimpleGrid>
      <Text size="sm" mt="md">
        {t("home.order")}
      </Text>
      {error && <StaleNote since={dataUpdatedAt} />}
      {data.available <= 0n && (
        <Alert color="yellow" mt="md">
          {t("home.empty")}
        </Alert>
      )}
    </Card>
  );
}

function FirstRequestCard(): ReactNode {
  const { t } = useTranslation();
  const example = curlExample(window.location.origin, t("home.greeting"));
  return (
    <Card withBorder padding="lg">
      <Title order={2} size="h4">
        {t("home.firstStep")}
      </Title>
      <Text size="sm" my="xs">
        {t("home.firstStepText")}
      </Text>
      <Code block tabIndex={0} role="region" aria-label={t("home.firstStep")}>
        {example}
      </Code>
      <Group mt="md" gap="sm">
        <Button component={Link} to="/keys">
          {t("keys.create")}
        </Button>
        <Copy value={example} />
      </Group>
    </Card>
  );
}

function curlExample(origin: string, greeting: string): string {
  return [
    `curl -N ${origin}/v1/chat/completions \\`,
    `  -H "Authorization: Bearer $CODEX_KEY" \\`,
    `  -H 'content-type: application/json' \\`,
    `  -d '{"model":"demo-small","stream":true,"messages":[{"role":"user","content":"${greeting}"}]}'`,
  ].join("\n");
}
