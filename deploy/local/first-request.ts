import { balanceResponse, usageList, type UsageLine } from "@codex/contracts";
import { formatAmount } from "@codex/kernel";
import { setTimeout as delay } from "node:timers/promises";
import { z } from "zod";
import type { ApiClient } from "./api-client.ts";
import { Problem } from "./problem.ts";
import type { FirstRequest } from "./protocol.ts";

export interface FirstRequestOptions {
  readonly origin: string;
  readonly apiKey: string;
  readonly model: string;
  readonly prompt: string;
  /** Signed in as the owner of the key. */
  readonly user: ApiClient;
  readonly signal: AbortSignal;
}

const streamTimeoutMs = 30_000;
const ledgerTimeoutMs = 10_000;
const ledgerEveryMs = 100;
const answerCharsMax = 20_000;

const chunk = z.object({
  choices: z.array(z.object({ delta: z.object({ content: z.string().nullish() }).optional() })).optional(),
  usage: z.object({ prompt_tokens: z.number(), completion_tokens: z.number() }).nullish(),
  error: z.object({ message: z.string() }).optional(),
});

/**
 * One real streamed request through the public path: edge, gateway, upstream, spool, bus, ledger. Done when the charge
 * stands in the usage list under the request's own id and the money adds up. Throws a {@link Problem} otherwise.
 */
export async function sendFirstRequest(options: FirstRequestOptions): Promise<FirstRequest> {
  const before = await ownedMoney(options.user);
  const startedMs = performance.now();
  const streamed = await stream(options);
  const durationMs = performance.now() - startedMs;
  const line = await ledgerEntry(options, streamed.requestId);
  const after = await ownedMoney(options.user);
  if (before - line.charged !== after) {
    throw new Problem(
      `The money does not add up: ${formatAmount(before)} before, ${formatAmount(line.charged)} charged, ${formatAmount(after)} after.`,
      { hint: "Something else may have used this account at the same moment; start again to see." },
    );
  }
  return {
    model: options.model,
    requestId: streamed.requestId,
    answer: streamed.text,
    inputTokens: line.tokens.input + line.tokens.cachedInput + line.tokens.cacheWrite + line.tokens.cacheWrite1h,
    outputTokens: line.tokens.output + line.tokens.reasoning,
    durationMs,
    charged: formatAmount(line.charged),
    before: formatAmount(before),
    after: formatAmount(after),
  };
}

/** Paid and bonus together. Not `available`: a running lease of the gateway holds a part of it back for a moment. */
async function ownedMoney(user: ApiClient): Promise<bigint> {
  const balance = await user.call("GET", "/api/billing/balance", balanceResponse);
  return balance.paid + balance.bonus;
}

async function stream(options: FirstRequestOptions): Promise<{ readonly requestId: string; readonly text: string }> {
  const signal = AbortSignal.any([options.signal, AbortSignal.timeout(streamTimeoutMs)]);
  const answer = await fetch(`${options.origin}/v1/chat/completions`, {
    method: "POST",
    signal,
    headers: { authorization: `Bearer ${options.apiKey}`, "content-type": "application/json" },
    body: JSON.stringify({ model: options.model, stream: true, messages: [{ role: "user", content: options.prompt }] }),
  });
  const requestId = answer.headers.get("x-request-id") ?? "";
  if (!answer.ok || answer.body === null) {
    throw new Problem(
      `The first request was refused with ${String(answer.status)}: ${(await answer.text()).slice(0, 300)}`,
    );
  }
  const type = answer.headers.get("content-type") ?? "";
  if (!type.startsWith("text/event-stream"))
    throw new Problem(`The first request was answered with "${type}", not with a stream.`);
  let text = "";
  for await (const data of eventData(answer.body)) {
    if (data === "[DONE]") continue;
    const part = chunk.parse(JSON.parse(data));
    if (part.error !== undefined) throw new Problem(`The stream ended in an error: ${part.error.message}`);
    text = (text + (part.choices?.[0]?.delta?.content ?? "")).slice(0, answerCharsMax);
  }
  if (text === "") throw new Problem("The stream ended without an answer.");
  return { requestId, text };
}

/** The data of each server-sent event. Enough of the format for our own gateway: one `data:` line an event. */
async function* eventData(body: AsyncIterable<Uint8Array>): AsyncGenerator<string> {
  const decoder = new TextDecoder();
  let rest = "";
  for await (const bytes of body) {
    rest += decoder.decode(bytes, { stream: true });
    const lines = rest.split(/\r?\n/);
    rest = lines.pop() ?? "";
    for (const line of lines) if (line.startsWith("data:")) yield line.slice(5).trim();
  }
}

async function ledgerEntry(options: FirstRequestOptions, requestId: string): Promise<UsageLine> {
  const deadlineMs = performance.now() + ledgerTimeoutMs;
  for (;;) {
    const { usage } = await options.user.call("GET", "/api/billing/usage?limit=20", usageList);
    const line = usage.find((candidate) => candidate.requestId === requestId);
    if (line !== undefined) return line;
    if (performance.now() > deadlineMs) {
      throw new Problem(
        `The charge of ${requestId} did not reach the ledger within ${String(ledgerTimeoutMs / 1000)} s.`,
        {
          hint: "Look into .codex/logs/gateway-proxy.log and .codex/logs/billing-ledger.log.",
        },
      );
    }
    await delay(ledgerEveryMs, undefined, { signal: options.signal });
  }
}
