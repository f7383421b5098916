import type { ChannelKind } from "@codex/contracts";
import type { Operation, TextDialect } from "../../domain/operation.ts";
import { anthropic } from "./anthropic.ts";
import { azureOpenAi } from "./azure-openai.ts";
import { demo } from "./demo.ts";
import { gemini } from "./gemini.ts";
import type { KindRecord } from "./kind.ts";
import { openAiCompatible } from "./openai-compatible.ts";
import { openAi } from "./openai.ts";
import { openRouter } from "./openrouter.ts";

export const kinds = {
  openai: openAi,
  anthropic,
  gemini,
  openrouter: openRouter,
  "azure-openai": azureOpenAi,
  "openai-compatible": openAiCompatible,
  demo,
} satisfies Record<ChannelKind, KindRecord> as Readonly<Record<ChannelKind, KindRecord>>;

const operations: readonly Operation[] = [
  "chat",
  "messages",
  "countTokens",
  "responses",
  "generateContent",
  "completions",
  "embeddings",
  "images",
  "imageEdits",
  "speech",
  "transcriptions",
  "translations",
  "moderations",
  "rerank",
  "realtime",
];

const spoken = new Map<string, ReadonlySet<Operation>>(
  Object.entries(kinds).map(([kind, { path }]) => [
    kind,
    new Set(operations.filter((operation) => path({ operation, model: "", stream: false, apiVersion: null }))),
  ]),
);

/** Whether a channel of this kind takes the operation as it is. */
export function speaks(kind: ChannelKind, operation: Operation): boolean {
  return spoken.get(kind)?.has(operation) === true;
}

/** The form in which a conversation goes to a channel of this kind: the wanted one where it can, else the kind's first. */
export function dialectFor(kind: ChannelKind, wanted: TextDialect): TextDialect {
  const { dialects } = kinds[kind];
  return dialects.includes(wanted) ? wanted : (dialects[0] ?? wanted);
}
