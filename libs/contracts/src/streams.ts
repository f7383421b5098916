/**
 * JetStream streams. Limits are by message count, because nats-server before 2.10.5 silently deletes the oldest message
 * when `discard: new` meets `max_bytes` (fixed by bf8ac377f); no stream that carries money evicts by age.
 */

export interface StreamDef {
  readonly name: string;
  readonly description: string;
  readonly subjects: readonly string[];
  /** `new` refuses the publisher when full (nothing is lost in silence); `old` drops the oldest. */
  readonly discard: "new" | "old";
  readonly maxMessages: number;
  /** 0 = never by age. */
  readonly maxAgeMs: number;
  readonly maxMessageBytes: number;
  readonly duplicateWindowMs: number;
}

const dayMs = 86_400_000;

export const streams = {
  USAGE: {
    name: "USAGE",
    description:
      "Envelopes of usage records from the gateways' spools. A buffer: the spool stays the record until billing's watermark covers it.",
    subjects: ["usage.v1.*"],
    discard: "new",
    maxMessages: 2_000_000,
    maxAgeMs: 0,
    maxMessageBytes: 262_144,
    duplicateWindowMs: 600_000,
  },
  EVENTS: {
    name: "EVENTS",
    description: "Domain events of every service, published through outboxes.",
    subjects: ["evt.>"],
    discard: "old",
    maxMessages: 2_000_000,
    maxAgeMs: 7 * dayMs,
    maxMessageBytes: 65_536,
    duplicateWindowMs: 600_000,
  },
  COMMANDS: {
    name: "COMMANDS",
    description: "Durable commands to billing: grants and refunds asked for by other services.",
    subjects: ["cmd.>"],
    discard: "new",
    maxMessages: 1_000_000,
    maxAgeMs: 0,
    maxMessageBytes: 65_536,
    duplicateWindowMs: 600_000,
  },
  DEAD_LETTERS: {
    name: "DEAD_LETTERS",
    description: "Messages that a consumer gave up on, with the reason in headers. Replayed by command.",
    subjects: ["dlq.>"],
    discard: "old",
    maxMessages: 100_000,
    maxAgeMs: 90 * dayMs,
    maxMessageBytes: 524_288,
    duplicateWindowMs: 600_000,
  },
} as const satisfies Record<string, StreamDef>;

export type StreamName = keyof typeof streams;

/** Where a consumer's given-up messages go. */
export function deadLetterSubject(stream: StreamName, durable: string): string {
  return `dlq.${stream}.${durable}`;
}
