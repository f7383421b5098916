import type { UsageRecord } from "@codex/contracts";
import { eventually } from "@codex/testkit";
import type { Answer, World } from "./_world.ts";

/** One server-sent event as a client reads it: its name ("" for none) and its data, parsed unless it is [DONE]. */
export interface ReadEvent {
  readonly name: string;
  readonly data: Readonly<Record<string, unknown>>;
}

/** Every event of a stream that has ended; comments are left out. */
export function readEvents(text: string): readonly ReadEvent[] {
  return text.split("\n\n").flatMap((block) => {
    const lines = block.split("\n");
    const data = lines.filter((line) => line.startsWith("data: ")).map((line) => line.slice(6));
    if (data.length === 0 || data[0] === "[DONE]") return [];
    const name = lines.find((line) => line.startsWith("event: "))?.slice(7) ?? "";
    return [{ name, data: JSON.parse(data.join("\n")) as ReadEvent["data"] }];
  });
}

export function requestIdOf(headers: Headers): string {
  return headers.get("x-request-id") ?? "";
}

/** The one usage row that billing gets of an answer. */
export async function recordOf(world: World, answer: Pick<Answer, "headers">): Promise<UsageRecord> {
  const requestId = requestIdOf(answer.headers);
  return eventually(() => world.billing.usage().find((row) => row.requestId === requestId), {
    what: `the usage row of ${requestId}`,
  });
}

/** Micro-tokens at the usual price of the tests. */
export function usualCost(tokens: number): bigint {
  return 1_000n * BigInt(tokens);
}

/** What an answer says that it cost, in micro-tokens. */
export function toldCost(usage: unknown): bigint {
  const { cost_details: details } = usage as { readonly cost_details: { readonly amount: string } };
  const [whole = "0", fraction = ""] = details.amount.split(".");
  return BigInt(whole) * 1_000_000n + BigInt(fraction.padEnd(6, "0"));
}
