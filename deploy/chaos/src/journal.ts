import { createReadStream } from "node:fs";
import { createInterface } from "node:readline";
import { z } from "zod";
import type { ReportedUsage } from "./models.ts";

/** What the demo upstream wrote down, the only witness that no fault of ours ever touches. */
export interface Delivery {
  readonly requestId: string;
  readonly outcome: "finished" | "cut" | "client_gone";
  readonly status: number | null;
  /** Usage that went out and can be believed; undefined when there was none, or a hostile one. */
  readonly usage: ReportedUsage | undefined;
}

const line = z.looseObject({
  requestId: z.string(),
  path: z.string(),
  status: z.number().nullable(),
  outcome: z.enum(["finished", "cut", "client_gone"]),
  reportedUsage: z.record(z.string(), z.unknown()).nullable(),
});
const count = z.number().int().min(0);
const openAiUsage = z.looseObject({
  prompt_tokens: count,
  completion_tokens: count,
  prompt_tokens_details: z.looseObject({ cached_tokens: count.optional() }).nullish(),
});

/** Chat requests in the order in which they ended. A torn last line is left out. */
export async function readJournal(path: string): Promise<readonly Delivery[]> {
  const deliveries: Delivery[] = [];
  for await (const text of createInterface({ input: createReadStream(path), crlfDelay: Infinity })) {
    const parsed = line.safeParse(parseJson(text));
    if (!parsed.success || parsed.data.path !== "/v1/chat/completions") continue;
    const { requestId, outcome, status, reportedUsage } = parsed.data;
    deliveries.push({ requestId, outcome, status, usage: believable(reportedUsage) });
  }
  return deliveries;
}

function believable(reported: unknown): ReportedUsage | undefined {
  const parsed = openAiUsage.safeParse(reported);
  if (!parsed.success) return undefined;
  const { prompt_tokens, completion_tokens, prompt_tokens_details } = parsed.data;
  return {
    promptTokens: prompt_tokens,
    completionTokens: completion_tokens,
    cachedTokens: prompt_tokens_details?.cached_tokens ?? 0,
  };
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
