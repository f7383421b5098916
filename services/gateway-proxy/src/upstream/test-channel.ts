import type { ChannelTestResult } from "@codex/contracts";
import { AppError, type Clock, type RequestId, type UpstreamKeyId } from "@codex/kernel";
import type { ChannelState, UpstreamKey } from "../app/channel-state.ts";
import type { TextDialect } from "../domain/operation.ts";
import { systemCodeOf, transportFailure } from "./faults.ts";
import { dialectFor } from "./kinds/index.ts";
import { cancelledBy } from "./cancellation.ts";
import { outgoing, type OutgoingCall } from "./outgoing.ts";
import { readRefusal, type Refusal } from "./refusal.ts";
import type { UpstreamClient, UpstreamResponse } from "./transport.ts";

/**
 * The test button: one real request of a few tokens, by the channel's own address, key and kind, past breakers, bounds and
 * state. Nobody is charged; the upstream charges its own. It tells, and changes nothing.
 */

export interface ChannelTest {
  readonly channel: ChannelState;
  /** A public model name of the channel. */
  readonly model: string;
  /** Undefined: the first key. */
  readonly keyId: UpstreamKeyId | undefined;
  readonly requestId: RequestId;
  readonly signal: AbortSignal;
}

export const testTimeoutMs = 30_000;
const answerTokens = 16;
const answerBytesMax = 1_048_576;

const bodies: Readonly<Record<TextDialect, (model: string) => Record<string, unknown>>> = {
  chat: (model) => ({ model, max_tokens: answerTokens, messages: [{ role: "user", content: "ping" }] }),
  messages: (model) => ({ model, max_tokens: answerTokens, messages: [{ role: "user", content: "ping" }] }),
  responses: (model) => ({ model, max_output_tokens: answerTokens, input: "ping" }),
  generateContent: () => ({
    contents: [{ role: "user", parts: [{ text: "ping" }] }],
    generationConfig: { maxOutputTokens: answerTokens },
  }),
};

/** Resolves whatever the upstream does; rejects only when `signal` is aborted. */
export async function testChannel(client: UpstreamClient, clock: Clock, test: ChannelTest): Promise<ChannelTestResult> {
  const { channel, model, keyId } = test;
  const key = keyId === undefined ? channel.keys[0] : channel.keys.find((candidate) => candidate.keyId === keyId);
  const upstreamModel = channel.snapshot.models[model];
  const common = { model, keyId: key?.keyId ?? null };
  const failed = (reason: string): ChannelTestResult => ({
    ...common,
    ok: false,
    latencyMs: 0,
    httpStatus: null,
    reason,
  });
  if (upstreamModel === undefined) return failed("The channel does not offer this model.");
  if (!key) return failed(noKey);
  const startedMs = clock.monotonicMs();
  const answered = await ask(client, test, key, upstreamModel);
  return { ...common, ...answered, latencyMs: Math.round(clock.monotonicMs() - startedMs) };
}

const noKey = "There is no such key in use, or the gateway's master key does not open it.";

type Outcome = Pick<ChannelTestResult, "ok" | "httpStatus" | "reason">;

async function ask(
  client: UpstreamClient,
  { channel, requestId, signal }: ChannelTest,
  key: UpstreamKey,
  upstreamModel: string,
): Promise<Outcome> {
  const { kind } = channel.snapshot;
  const operation = dialectFor(kind, "chat");
  const call: OutgoingCall = { operation, body: bodies[operation](upstreamModel) };
  const bounded = AbortSignal.any([signal, AbortSignal.timeout(testTimeoutMs)]);
  const facts = { stream: false, requestId, clientHeaders: {}, signal: cancelledBy(bounded) };
  try {
    const answer = await client.call(outgoing({ kind, channel, upstreamModel }, key, call, facts));
    if (answer.status !== 200) return refusedFor(await readRefusal(kind, answer));
    return await lookAt(answer);
  } catch (error) {
    if (signal.aborted) throw error;
    return { ok: false, httpStatus: null, reason: plainReason(error, bounded.aborted) };
  }
}

/** A 200 that is no JSON object, or holds an error, is a failure of the upstream too. */
async function lookAt(answer: UpstreamResponse): Promise<Outcome> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of answer.body) {
    bytes += chunk.length;
    if (bytes > answerBytesMax) break;
    chunks.push(chunk);
  }
  const value = parse(Buffer.concat(chunks).toString("utf8"));
  const good = typeof value === "object" && value !== null && !("error" in value && value.error != null);
  const reason = good ? "The upstream answered." : "The upstream answered 200, but with something that is no answer.";
  return { ok: good, httpStatus: 200, reason };
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

const reasons: Readonly<Record<Refusal["scope"], string>> = {
  request: "The upstream refused the request as invalid: the model may not be one for conversations.",
  key_rate: "The key is over its rate limit.",
  key_quota: "The account behind the key has no money or quota left.",
  key_rejected: "The upstream does not accept the key, or it may not use this model.",
  channel: "The upstream failed.",
};

function refusedFor({ scope, status }: Refusal): Outcome {
  if (status >= 300 && status < 400) {
    return {
      ok: false,
      httpStatus: status,
      reason: "The upstream redirects, which is never followed: set the final base URL.",
    };
  }
  const unknown = status === 404 ? "The upstream does not know the model, or the base URL is wrong." : undefined;
  return { ok: false, httpStatus: status, reason: unknown ?? reasons[scope] };
}

function plainReason(error: unknown, timedOut: boolean): string {
  const cause = error instanceof AppError ? error.cause : error;
  const code = systemCodeOf(cause);
  if (code === "EADDRREFUSED") return "The address is not one that this channel may connect to (see its egress).";
  if (code === "ENOTFOUND" || code === "EAI_AGAIN") return "The host name cannot be resolved.";
  if (code === "ECONNREFUSED") return "Nothing listens at this address and port.";
  if (timedOut || transportFailure(cause)?.kind === "timeout") return "The upstream did not answer in time.";
  return /CERT|TLS|SSL/.test(code) ? "The TLS certificate is not accepted." : "The connection broke off.";
}
