import type { KeyClient } from "@codex/contracts";

/**
 * Which program uses a key, out of its user agent: one word of a closed list, because the user agent itself is personal data
 * that nobody needs. The first that fits; versions and platforms are not looked at.
 */
const marks: readonly (readonly [RegExp, KeyClient])[] = [
  [/^codex[-_/ ]/i, "codex"],
  [/^claude-(cli|code)\b/i, "claude-code"],
  [/\bopencode\b/i, "opencode"],
  [/\blangchain\b/i, "langchain"],
  [/\bai-sdk\b|^ai\//i, "ai-sdk"],
  [/^(async)?openai\/python/i, "openai-python"],
  [/^openai\/(js|node)/i, "openai-node"],
  [/^(async)?anthropic\/python/i, "anthropic-python"],
  [/^anthropic\/(js|node|typescript)/i, "anthropic-node"],
  [/^curl\//i, "curl"],
  [/^mozilla\//i, "browser"],
];

/** Only the beginning is read: nobody can make this slow with a long header. */
const lookedAt = 256;

export function clientNameOf(userAgent: string | undefined): KeyClient {
  const text = (userAgent ?? "").slice(0, lookedAt);
  return marks.find(([mark]) => mark.test(text))?.[1] ?? "other";
}
