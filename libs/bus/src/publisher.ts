import type { EventDef } from "@codex/contracts";
import type { JetStreamClient } from "@nats-io/jetstream";
import { context, SpanKind } from "@opentelemetry/api";
import type { z } from "zod";
import type { ConnectionState } from "./connection.ts";
import {
  encodeEvent,
  encodeJson,
  eventTypeOf,
  type EncodedEvent,
  type EventMessage,
  type JsonMessage,
} from "./envelope.ts";
import { busUnavailable } from "./errors.ts";
import { toMsgHeaders, withSpan } from "./trace.ts";

/** Acknowledged by JetStream: stored. `duplicate` when the stream already had a message of this id. */
export interface PublishReceipt {
  readonly stream: string;
  readonly seq: number;
  readonly duplicate: boolean;
}

/** What goes onto a stream: an encoded event, an outbox row, or the bytes of a dead letter. */
export interface OutgoingMessage {
  /** Becomes `Nats-Msg-Id`. */
  readonly eventId: string;
  readonly subject: string;
  readonly payload: string | Uint8Array;
  readonly headers: Readonly<Record<string, string>>;
}

/** Both the wait for a connection and the wait for the acknowledgement together. */
const ackTimeoutMs = 2_000;

/** Messages of one `publishRaw` that may await their acknowledgement at the same time. */
const windowMessages = 64;

export class Publisher {
  private readonly js: JetStreamClient;
  private readonly state: ConnectionState;
  private readonly source: string;

  constructor(js: JetStreamClient, state: ConnectionState, source: string) {
    this.js = js;
    this.state = state;
    this.source = source;
  }

  encode<P extends string, S extends z.ZodType>(event: EventDef<P, S>, message: EventMessage<P, S>): EncodedEvent {
    return encodeEvent(event, message, this.source);
  }

  publish<P extends string, S extends z.ZodType>(
    event: EventDef<P, S>,
    message: EventMessage<P, S>,
  ): Promise<PublishReceipt> {
    return this.inSpan(event, () => this.encode(event, message));
  }

  publishJson<P extends string, S extends z.ZodType>(
    event: EventDef<P, S>,
    message: JsonMessage<P>,
  ): Promise<PublishReceipt> {
    return this.inSpan(event, () => encodeJson(event, message, this.source));
  }

  /** Encoded inside the span, so that the receiver's parent is this span. */
  private inSpan(event: EventDef, encode: () => EncodedEvent): Promise<PublishReceipt> {
    return withSpan(
      {
        name: `publish ${eventTypeOf(event)}`,
        kind: SpanKind.PRODUCER,
        parent: context.active(),
        attributes: { "messaging.destination.name": event.stream },
      },
      async () => this.send(encode(), event.stream),
    );
  }

  /** A timed-out publish is unknown, not failed: resend it with the same id and the stream drops the copy. */
  async send(message: OutgoingMessage, stream?: string): Promise<PublishReceipt> {
    const timeoutMs = await this.state.ready(ackTimeoutMs);
    try {
      const ack = await this.js.publish(message.subject, message.payload, {
        msgID: message.eventId,
        timeout: timeoutMs,
        headers: toMsgHeaders(message.headers),
        ...(stream === undefined ? {} : { expect: { streamName: stream } }),
      });
      return { stream: ack.stream, seq: ack.seq, duplicate: ack.duplicate };
    } catch (error) {
      throw busUnavailable({ subject: message.subject, eventId: message.eventId }, error);
    }
  }

  /**
   * Publishes all in the given order and resolves when every one is acknowledged. On a failure nothing further is sent,
   * what is under way is awaited, and the first error is thrown; the caller resends all.
   */
  async publishRaw(rows: readonly OutgoingMessage[]): Promise<void> {
    const rest = rows.values();
    let failure: unknown;
    const worker = async (): Promise<void> => {
      for (const row of rest) {
        if (failure !== undefined) return;
        try {
          await this.send(row);
        } catch (error) {
          failure ??= error;
        }
      }
    };
    await Promise.all(Array.from({ length: Math.min(windowMessages, rows.length) }, worker));
    if (failure !== undefined) throw failure as Error;
  }
}
