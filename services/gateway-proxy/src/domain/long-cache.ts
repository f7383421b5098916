import type { ClientHeaders } from "./endpoint.ts";

/** Lifetimes of a prompt cache that have a price of their own: Anthropic's hour, OpenAI's twelve and twenty-four. */
const longMarks = ['"1h"', '"12h"', '"24h"'].map((mark) => Buffer.from(mark));

/**
 * Whether the request may write to a cache that is kept for long, which costs more: by a lifetime anywhere in the body, or by
 * a beta header that makes the hour the rule. The hold is for the dearer class then.
 */
export function mayKeepLong(bytes: Buffer, headers: ClientHeaders = {}): boolean {
  return longMarks.some((mark) => bytes.includes(mark)) || (headers["anthropic-beta"] ?? "").includes("cache-ttl");
}
