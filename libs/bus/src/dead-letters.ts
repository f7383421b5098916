import { deadLetterSubject, type StreamName } from "@codex/contracts";
import type { JsMsg } from "@nats-io/jetstream";
import { oneLine } from "./errors.ts";
import type { Publisher } from "./publisher.ts";

/**
 * poison     not readable as the event that its subject promises
 * permanent  the handler said that no retry can help
 * exhausted  the handler failed at the last allowed delivery
 */
export type DeadLetterReason = "poison" | "permanent" | "exhausted";

/** Header names of a dead letter. The payload and the sender's own headers are kept as they were. */
export const deadLetterHeaders = {
  reason: "Codex-Dead-Reason",
  error: "Codex-Dead-Error",
  subject: "Codex-Dead-Subject",
  stream: "Codex-Dead-Stream",
  consumer: "Codex-Dead-Consumer",
  seq: "Codex-Dead-Seq",
  deliveries: "Codex-Dead-Deliveries",
  time: "Codex-Dead-Time",
} as const;

interface DeadLetter {
  readonly stream: StreamName;
  readonly durable: string;
  readonly reason: DeadLetterReason;
  readonly problem: string;
}

function senderHeaders(message: JsMsg): Record<string, string> {
  const kept: Record<string, string> = {};
  for (const [name, values] of message.headers ?? []) {
    // Nats-Msg-Id, Nats-Expected-…: instructions to the first stream, not facts about the message.
    if (!name.toLowerCase().startsWith("nats-")) kept[name] = oneLine(values[0] ?? "");
  }
  return kept;
}

/** Stores the message with the reason. Idempotent by stream, consumer and delivery position; throws when not stored. */
export async function publishDeadLetter(publisher: Publisher, message: JsMsg, letter: DeadLetter): Promise<void> {
  const { stream, durable, reason, problem } = letter;
  await publisher.send(
    {
      eventId: `${stream}.${durable}.${String(message.seq)}.${String(message.timestampNanos)}`,
      subject: deadLetterSubject(stream, durable),
      payload: message.data,
      headers: {
        ...senderHeaders(message),
        [deadLetterHeaders.reason]: reason,
        [deadLetterHeaders.error]: oneLine(problem),
        [deadLetterHeaders.subject]: message.subject,
        [deadLetterHeaders.stream]: stream,
        [deadLetterHeaders.consumer]: durable,
        [deadLetterHeaders.seq]: String(message.seq),
        [deadLetterHeaders.deliveries]: String(message.info.deliveryCount),
        [deadLetterHeaders.time]: new Date().toISOString(),
      },
    },
    "DEAD_LETTERS",
  );
}
