import type { MicroTokens } from "@codex/kernel";

/**
 * The published rules by which a charge is given back without anybody asking (architecture.md §5, docs/money-rules.md):
 *
 *   upstream_error    the upstream failed after it had begun to answer, so the answer is an error or was cut short
 *   empty_completion  the upstream said "done" and the answer has no token: neither text nor reasoning, tool calls or images
 *   failed_image      an image was asked for and none came
 *
 * Always the whole of what is left of the charge. What the account ended itself is not given back, by leaving (that is the
 * disconnect rule), by revoking its key or otherwise: else a finished answer could be had for nothing by "breaking" it in its
 * last moment. So an error counts only with a code that says it is the upstream's or ours. Nor is a text answer given back
 * that is all reasoning: the client may have asked for just that with a small limit.
 */
export type RefundRule = "upstream_error" | "empty_completion" | "failed_image";

/** Which rules are switched on. */
export type RefundRules = Readonly<Record<RefundRule, boolean>>;

/** A request as it was booked. */
export interface BookedLine {
  readonly route: string;
  readonly status: string;
  readonly errorCode: string | null;
  readonly charged: MicroTokens;
  readonly outputTokens: number;
  readonly reasoningTokens: number;
  /** Null where images are not counted. */
  readonly imageCount: number | null;
}

/** Their answers are text, so one without a token is empty; an embedding or a moderation never has one. */
const textRoutes: ReadonlySet<string> = new Set([
  "/v1/chat/completions",
  "/v1/completions",
  "/v1/messages",
  "/v1/responses",
]);

/** Codes that no client can bring about: the error catalogue's of kinds upstream, unavailable, timeout and internal; a test compares. */
export const faultCodes: ReadonlySet<string> = new Set([
  "upstream_error",
  "upstream_timeout",
  "upstream_unavailable",
  "stream_interrupted",
  "overloaded",
  "service_unavailable",
  "internal_error",
  "request_timeout",
]);

/** The rule that gives the charge back; undefined when none does. Total: any line has exactly one answer. */
export function refundRuleOf(line: BookedLine, rules: RefundRules): RefundRule | undefined {
  const rule = ruleFor(line);
  return rule !== undefined && rules[rule] ? rule : undefined;
}

function ruleFor(line: BookedLine): RefundRule | undefined {
  if (line.charged <= 0n) return undefined;
  const failed =
    (line.status === "upstream_error" || line.status === "upstream_cut") &&
    line.errorCode !== null &&
    faultCodes.has(line.errorCode);
  if (line.route.startsWith("/v1/images/")) {
    const isEmpty = line.status === "ok" && line.imageCount === 0;
    return failed || isEmpty ? "failed_image" : undefined;
  }
  if (failed) return "upstream_error";
  const isSilent = line.outputTokens === 0 && line.reasoningTokens === 0;
  return line.status === "ok" && isSilent && textRoutes.has(line.route) ? "empty_completion" : undefined;
}
