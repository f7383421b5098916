import type { SampledStack } from "./profile.ts";

/**
 * What a request spends its CPU on, by the innermost frame that belongs to a part. Frames of Node that serve anybody (streams,
 * sockets, promises) count for whoever called them, so the write of an answer is HTTP's and the write of a question Redis's.
 */

const parts: readonly (readonly [part: string, urls: RegExp])[] = [
  ["HTTP with the client", /^node:_http_/],
  ["call of the upstream", /\/undici\/|\/src\/upstream\//],
  [
    "limits: question to Redis and its answer",
    /\/ioredis\/|redis-parser|redis-limits|redis-script|request-limiter|running-requests|limit-gate|limit-headers|domain\/(limits|rate)\.ts/,
  ],
  [
    "usage to billing: envelopes, NATS",
    /@nats-io|libs\/bus\/|gateway-proxy\/src\/bus\/|spool\/(publisher|resend-rule)/,
  ],
  ["usage on the disk: spool", /\/src\/spool\/|src\/metering\.ts/],
  [
    "hold, metering, charge",
    /lender|lease-book|lease-asks|metered-request|domain\/(charge|hold|usage|token-estimate|burn)|price-usage|domain\/usage-objects/,
  ],
  ["log and metrics", /\/pino|sonic-boom|@opentelemetry|src\/events\.ts|runtime\/src\//],
  ["whose key: hash, cache", /key-cache|credentials|api-key/],
  ["which channel", /choose-route|catalogue|channel-|affinity|rendezvous|breaker/],
  [
    "reading the answer: JSON, events",
    /relay-|collect\.ts|json-scan|sse-scanner|chat-chunk|chat-stream|stream-state|client-stream|drained|src\/http\/v1\/cost/,
  ],
  ["reading the request: body, JSON, fields", /read-body|body-memory|chat-request|domain\/(endpoints|fields|endpoint)/],
  ["the path itself: routing, ids, promises", /gateway-proxy\/src\/|kernel\/src\/|http\/src\//],
  ["the floor's own work", /\/floor\.ts/],
];

const leaves: ReadonlyMap<string, string> = new Map([
  ["(garbage collector)", "garbage collection"],
  ["(program)", "native code outside of JavaScript"],
]);

export interface PartCost {
  readonly part: string;
  readonly micros: number;
}

/** Microseconds a request by part, the dearest first; what the profile calls idle is left out. */
export function costByPart(stacks: readonly SampledStack[], requests: number): readonly PartCost[] {
  const costs = new Map<string, number>();
  for (const { micros, frames } of stacks) {
    if (frames[0]?.name === "(idle)") continue;
    const part = partOf(frames);
    costs.set(part, (costs.get(part) ?? 0) + micros / Math.max(1, requests));
  }
  return [...costs].map(([part, micros]) => ({ part, micros })).toSorted((a, b) => b.micros - a.micros);
}

function partOf(frames: SampledStack["frames"]): string {
  const leaf = leaves.get(frames[0]?.name ?? "");
  if (leaf !== undefined) return leaf;
  for (const { url } of frames) {
    const known = parts.find(([, urls]) => urls.test(url));
    if (known) return known[0];
  }
  return "Node itself: sockets, timers, threads";
}
