import type { ApiKey, KeyClient } from "@codex/contracts";
import { Badge, Group, Text } from "@mantine/core";
import type { ReactNode } from "react";
import { useTranslation } from "react-i18next";
import { amountText, countText, hourText, timeText } from "../../../shared/format.ts";
import { Status } from "../../../shared/status.tsx";
import { keyState } from "../key-state.ts";

interface Props {
  readonly apiKey: ApiKey;
}

/** Name, the beginning of the key, environment and tags. */
export function KeyName({ apiKey: { name, prefix, environment, tags } }: Props): ReactNode {
  const { t } = useTranslation();
  return (
    <>
      <Text fw={600} className="wrap">
        {name}
      </Text>
      <Text ff="monospace" size="sm">
        {prefix}…
      </Text>
      <Group gap={4} mt={4}>
        {environment === "test" && <Tag text={t("keys.test")} />}
        {tags.map((tag) => (
          <Tag key={tag} text={tag} />
        ))}
      </Group>
    </>
  );
}

function Tag({ text }: { readonly text: string }): ReactNode {
  return (
    <Badge variant="default" size="sm" tt="none" fw={500}>
      {text}
    </Badge>
  );
}

/** What holds this key back, a line each. */
export function KeyRestrictions({ apiKey: { caps, limits, models, allowedIps } }: Props): ReactNode {
  const { t, i18n } = useTranslation();
  const tokens = (value: bigint | null | undefined): string | undefined =>
    value === null || value === undefined ? undefined : amountText(value, i18n.language, 0);
  const count = (value: number | null | undefined): string | undefined =>
    value === null || value === undefined ? undefined : countText(value, i18n.language);
  const lines = [
    [t("keys.daily"), tokens(caps?.daily)],
    [t("keys.monthly"), tokens(caps?.monthly)],
    [t("keys.total"), tokens(caps?.total)],
    [t("keys.requestsPerMinute"), count(limits?.requestsPerMinute)],
    [t("keys.tokensPerMinute"), count(limits?.tokensPerMinute)],
    [t("keys.concurrentRequests"), count(limits?.concurrentRequests)],
    [t("keys.models"), models?.join(", ")],
    [t("keys.allowedIps"), allowedIps?.join(", ")],
  ].filter(([, value]) => value !== undefined);
  if (lines.length === 0) return <Text size="sm">{t("keys.unrestricted")}</Text>;
  return lines.map(([name, value]) => (
    <Text key={name} size="sm" className="wrap">
      {name}: {value}
    </Text>
  ));
}

export function KeyStateCell({ apiKey, now }: Props & { readonly now: number }): ReactNode {
  const { t, i18n } = useTranslation();
  const state = keyState(apiKey, now);
  const end = apiKey.revokedAt ?? apiKey.expiresAt;
  return (
    <>
      <Status good={state === "active"} text={t(`keys.state.${state}`)} />
      {end !== null && (
        <Text size="sm">
          {Date.parse(end) > now
            ? t("keys.until", { time: timeText(end, i18n.language) })
            : t("keys.since", { time: timeText(end, i18n.language) })}
        </Text>
      )}
      <Text size="sm" c="dimmed">
        {t("keys.createdAt", { time: timeText(apiKey.createdAt, i18n.language) })}
      </Text>
    </>
  );
}

/** Names of products are the same in every language. */
const clientNames: Readonly<Record<Exclude<KeyClient, "browser" | "other">, string>> = {
  codex: "Codex CLI",
  "claude-code": "Claude Code",
  opencode: "opencode",
  "openai-python": "openai (Python)",
  "openai-node": "openai (Node.js)",
  "anthropic-python": "anthropic (Python)",
  "anthropic-node": "anthropic (Node.js)",
  "ai-sdk": "AI SDK",
  langchain: "LangChain",
  curl: "curl",
};

/** The hour, on purpose: it is no record of when somebody works. */
export function KeyUse({ apiKey: { lastUsedAt, lastUsedClient } }: Props): ReactNode {
  const { t, i18n } = useTranslation();
  if (lastUsedAt === null) return <Text size="sm">{t("keys.neverUsed")}</Text>;
  return (
    <>
      <Text size="sm">{hourText(lastUsedAt, i18n.language)}</Text>
      {lastUsedClient !== null && (
        <Text size="sm">{clientText(lastUsedClient, t("keys.browser"), t("keys.otherClient"))}</Text>
      )}
    </>
  );
}

function clientText(client: KeyClient, browser: string, other: string): string {
  if (client === "browser") return browser;
  return client === "other" ? other : clientNames[client];
}
