import { AppError, formatAmount, type MicroTokens } from "@codex/kernel";
import type { Refusal } from "./lease-ports.ts";

/** The refusals of admission, in the words that the customer reads. */

const capNames = { day: "daily", month: "monthly", total: "total" } as const;

/** 402: says whose limit it is, what is needed, what there is, and what helps. */
export function exhausted(needed: MicroTokens, refusal: Refusal): AppError {
  return refusal.cap ? capReached(needed, refusal, refusal.cap) : balanceExhausted(needed, refusal);
}

function balanceExhausted(needed: MicroTokens, refusal: Refusal): AppError {
  const missing = needed > refusal.available ? needed - refusal.available : 0n;
  return new AppError({
    kind: "quota",
    code: "credit_balance_exhausted",
    publicMessage:
      `Not enough balance: this request may cost up to ${formatAmount(needed)} tokens, ` +
      `available ${formatAmount(refusal.available)} (${formatAmount(refusal.held)} held by running requests). ` +
      `Top up by ${formatAmount(missing)} or set a smaller max_tokens.`,
    metadata: {
      limit_source: "balance",
      needed: formatAmount(needed),
      available: formatAmount(refusal.available),
      held: formatAmount(refusal.held),
      currency: "token",
    },
  });
}

function capReached(needed: MicroTokens, refusal: Refusal, cap: NonNullable<Refusal["cap"]>): AppError {
  const name = capNames[cap.period];
  const resetsAt = cap.resetsAt?.toISOString() ?? null;
  return new AppError({
    kind: "quota",
    code: "key_limit_exhausted",
    publicMessage:
      `This API key's ${name} cap of ${formatAmount(cap.amount)} tokens is reached: this request may cost up to ` +
      `${formatAmount(needed)}, left ${formatAmount(refusal.available)}. ` +
      `${resetsAt === null ? "A total cap does not reset" : `It resets at ${resetsAt}`}; ` +
      "raise the cap in the dashboard under Keys, or set a smaller max_tokens.",
    metadata: {
      limit_source: "key",
      cap: name,
      limit: formatAmount(cap.amount),
      needed: formatAmount(needed),
      available: formatAmount(refusal.available),
      held: formatAmount(refusal.held),
      resets_at: resetsAt,
      currency: "token",
    },
  });
}

export function frozen(): AppError {
  return new AppError({
    kind: "forbidden",
    code: "account_frozen",
    publicMessage: "This account is frozen. Please contact support.",
  });
}

/** 503: a lease came too late or too small, again and again. */
export function notInTime(): AppError {
  return new AppError({
    kind: "unavailable",
    code: "service_unavailable",
    publicMessage: "The request could not be admitted in time. Please try again.",
    retryAfterSeconds: 1,
    detail: { reason: "lease expired before it was used" },
  });
}
