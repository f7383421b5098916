import type { UsageLine } from "@codex/contracts";
import { AppError, formatAmount, idTimeMs, parseId, type MicroTokens, type RequestId } from "@codex/kernel";
import type { BookReader } from "../../app/book-reader.ts";
import type { KeyCaps } from "../../app/lease-ports.ts";
import { invalid } from "../../domain/fields.ts";
import type { GatewayParts, KeyContext } from "./context.ts";
import { sendJson } from "./send-json.ts";

/**
 * What a key may know of itself and its account, under the names that OpenRouter gave these things and that tools already
 * read (openrouter.ai/docs/api-reference, read 2026-11), in the unit `token`.
 */

const currency = "token";
const amountOf = (value: MicroTokens): number => Number(formatAmount(value));

/**
 * GET /v1/credits. The numbers are for people and their tools; the exact amounts stand beside them as text. The totals are those of
 * all time and up to some seconds old; what a running request has spent is in `held` until it is settled.
 */
export async function credits(parts: GatewayParts, context: KeyContext): Promise<void> {
  const { accountId } = context.key;
  const [{ paid, bonus, held, available }, totals] = await Promise.all([
    parts.books.balance(accountId),
    parts.books.totals(accountId),
  ]);
  sendJson(context, {
    data: {
      total_credits: totals ? amountOf(totals.credited) : null,
      total_usage: totals ? amountOf(totals.spent) : null,
      credited: textOf(totals?.credited),
      spent: textOf(totals?.spent),
      balance: formatAmount(paid + bonus),
      available: formatAmount(available),
      held: formatAmount(held),
      paid: formatAmount(paid),
      bonus: formatAmount(bonus),
      currency,
    },
    balance: formatAmount(available),
  });
}

/** GET /v1/key. Spending is counted for keys that have caps; for others it is null, not zero. */
export async function keyInfo(parts: GatewayParts, context: KeyContext): Promise<void> {
  const { key, limits } = context;
  const { caps } = key;
  const spend = caps && (await parts.books.keySpend(key.keyId));
  const cap = caps && spend ? widestCap(caps, spend) : undefined;
  sendJson(context, {
    data: {
      key_id: key.keyId,
      limit: cap ? amountOf(cap.limit) : null,
      limit_remaining: cap ? amountOf(cap.limit > cap.spent ? cap.limit - cap.spent : 0n) : null,
      limit_reset: cap?.reset ?? null,
      usage: spend ? amountOf(spend.total) : null,
      usage_daily: spend ? amountOf(spend.daily) : null,
      usage_monthly: spend ? amountOf(spend.monthly) : null,
      caps: {
        daily: textOf(caps?.daily),
        monthly: textOf(caps?.monthly),
        total: textOf(caps?.total),
      },
      models: key.models,
      // Of the key alone; the account's hold for all of its keys together.
      limits: {
        requests_per_minute: limits.limits.key.requestsPerMinute,
        tokens_per_minute: limits.limits.key.tokensPerMinute,
        concurrent_requests: limits.limits.key.concurrentRequests,
      },
      expires_at: key.expiresAt?.toISOString() ?? null,
      is_free_tier: false,
      currency,
    },
  });
}

interface Cap {
  readonly limit: MicroTokens;
  readonly spent: MicroTokens;
  readonly reset: "daily" | "monthly" | null;
}

/** The names leave room for one cap; the longest-lived is the one that a new month does not lift. All three are in `caps`. */
function widestCap(caps: KeyCaps, spend: Awaited<ReturnType<BookReader["keySpend"]>>): Cap | undefined {
  if (caps.total !== null) return { limit: caps.total, spent: spend.total, reset: null };
  if (caps.monthly !== null) return { limit: caps.monthly, spent: spend.monthly, reset: "monthly" };
  return caps.daily === null ? undefined : { limit: caps.daily, spent: spend.daily, reset: "daily" };
}

function textOf(value: MicroTokens | null | undefined): string | null {
  return value == null ? null : formatAmount(value);
}

/** A request that is younger than this and not booked yet is on its way: usage is settled within seconds. */
const settlingMs = 60_000;

/** GET /v1/generation?id=: what one request of this account cost. `gen_…` is another spelling of `req_…`. */
export async function generation(parts: GatewayParts, context: KeyContext): Promise<void> {
  const asked = new URLSearchParams(context.req.url?.split("?")[1] ?? "").get("id") ?? "";
  const id = parseId("req", asked.replace(/^gen_/, "req_"));
  if (id === undefined) throw invalid("id", "Give the request id of the x-request-id header: ?id=req_…");
  const booked = await parts.books.usage(context.key.accountId, id);
  if (!booked) throw notBooked(parts, id);
  sendJson(context, { data: generationObject(booked.usage, booked.priceVersion, booked.postedAt) });
}

function generationObject(line: UsageLine, priceVersion: string, postedAt: string): Readonly<Record<string, unknown>> {
  const { tokens } = line;
  return {
    id: line.requestId,
    request_id: line.requestId,
    model: line.model,
    route: line.route,
    streamed: line.streamed,
    created_at: line.startedAt,
    settled_at: postedAt,
    status: line.status,
    http_status: line.httpStatus,
    error_code: line.errorCode,
    latency: line.firstByteMs,
    generation_time: line.durationMs,
    native_tokens_prompt: tokens.input + tokens.cachedInput + tokens.cacheWrite + tokens.cacheWrite1h,
    native_tokens_cached: tokens.cachedInput,
    native_tokens_completion: tokens.output + tokens.reasoning,
    native_tokens_reasoning: tokens.reasoning,
    tokens,
    images: line.images,
    audio_ms: line.audioMs,
    estimated: line.estimated,
    total_cost: amountOf(line.charged),
    cost_details: {
      amount: formatAmount(line.charged),
      refunded: formatAmount(line.refunded),
      currency,
      price_version: priceVersion,
    },
  };
}

/** The same for what is somebody else's and for what never was; a young one may come yet. */
function notBooked(parts: GatewayParts, id: RequestId): AppError {
  const ageMs = parts.clock.now().getTime() - idTimeMs(id);
  return new AppError({
    kind: "not_found",
    code: "generation_not_found",
    publicMessage: "There is no settled request by that id. A request is settled within seconds of its end.",
    param: "id",
    ...(ageMs >= 0 && ageMs < settlingMs ? { retryAfterSeconds: 1 } : {}),
  });
}
