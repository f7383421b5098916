import { wildcardOf, type EventDef, type StreamName } from "@codex/contracts";
import { AppError } from "@codex/kernel";
import type { ConsumerMessages, JsMsg } from "@nats-io/jetstream";
import { SpanKind } from "@opentelemetry/api";
import type { z } from "zod";
import { publishDeadLetter, type DeadLetterReason } from "./dead-letters.ts";
import { eventTypeOf, parseData, parseEnvelope } from "./envelope.ts";
import { describeError, PermanentFailure } from "./errors.ts";
import type { Publisher } from "./publisher.ts";
import { PullLoop, type PullDeps } from "./pull.ts";
import { backoffMs, settledWithin, Slots } from "./timing.ts";
import { traceOf, withSpan } from "./trace.ts";

export interface EventMeta {
  /** Dedupe key: the handler's effect must be once for each id. */
  readonly id: string;
  readonly time: Date;
  /** 1 on the first delivery. */
  readonly deliveries: number;
  /** Aborts shortly before the message is delivered to somebody else, and when the process cannot wait any longer. */
  readonly signal: AbortSignal;
}

export interface EventHandler {
  readonly event: EventDef;
  /** `data` has been parsed with the event's schema. */
  readonly handle: (data: unknown, meta: EventMeta) => Promise<void>;
}

/** Binds a handler to its event; the data arrives parsed and typed. */
export function eventHandler<P extends string, S extends z.ZodType>(
  event: EventDef<P, S>,
  handle: (data: z.output<S>, meta: EventMeta) => Promise<void>,
): EventHandler {
  return { event, handle: (data, meta) => handle(data as z.output<S>, meta) };
}

export interface ConsumeOptions {
  readonly stream: StreamName;
  /** Name of the consumer at the server; replicas of a service share it and thereby the work. */
  readonly durable: string;
  readonly events: readonly EventHandler[];
  /** Deliveries after which a failing message goes to the dead letters; 8 by default (about 30 s with the default back-off). */
  readonly deliveriesMax?: number | undefined;
  /** Time for one handling before the server delivers the message to somebody else; 30,000 by default. */
  readonly ackWaitMs?: number | undefined;
  /** Over all replicas; 256 by default. */
  readonly maxAckPending?: number | undefined;
  /** Handled at the same time in this process; 16 by default. No order is promised between messages. */
  readonly concurrencyMax?: number | undefined;
  /** Delay before the second delivery; doubles up to 30 s. 250 by default. */
  readonly retryBaseMs?: number | undefined;
  /** The subjects of `events` by default. */
  readonly filterSubjects?: readonly string[] | undefined;
}

export interface ConsumerStats {
  readonly handled: number;
  readonly retried: number;
  readonly deadLettered: number;
  /** Of a type nobody here handles: acknowledged and passed over. */
  readonly unknown: number;
  readonly inFlight: number;
}

const retryDelayMaxMs = 30_000;

/** Even a dependency that is down for hours ends here: about 8 h of deliveries, 30 s apart. Also ends a crash loop. */
const deliveriesHardMax = 1_000;

const stopWaitMs = 10_000;

type Outcome =
  | { readonly kind: "done" }
  | { readonly kind: "unknown" }
  | { readonly kind: "retry"; readonly error: unknown }
  | { readonly kind: "dead"; readonly reason: DeadLetterReason; readonly problem: string };

function matches(pattern: string, subject: string): boolean {
  const expected = wildcardOf(pattern).split(".");
  const parts = subject.split(".");
  return expected.length === parts.length && expected.every((part, index) => part === "*" || part === parts[index]);
}

export class EventConsumer {
  private readonly deps: PullDeps;
  private readonly publisher: Publisher;
  private readonly options: ConsumeOptions;
  private readonly handlers: ReadonlyMap<string, EventHandler>;
  private readonly slots: Slots;
  private readonly hardStop = new AbortController();
  private readonly ackWaitMs: number;
  private readonly counts = { handled: 0, retried: 0, deadLettered: 0, unknown: 0 };
  private loop: PullLoop | undefined;

  private constructor(deps: PullDeps, publisher: Publisher, options: ConsumeOptions) {
    this.deps = deps;
    this.publisher = publisher;
    this.options = options;
    this.handlers = new Map(options.events.map((handler) => [eventTypeOf(handler.event), handler]));
    this.slots = new Slots(options.concurrencyMax ?? 16);
    this.ackWaitMs = options.ackWaitMs ?? 30_000;
  }

  static async start(deps: PullDeps, publisher: Publisher, options: ConsumeOptions): Promise<EventConsumer> {
    const foreign = options.events.find(({ event }) => event.stream !== options.stream);
    if (foreign) throw new Error(`${foreign.event.type} is not in stream ${options.stream}`);
    const consumer = new EventConsumer(deps, publisher, options);
    consumer.loop = await PullLoop.start(deps, {
      spec: {
        stream: options.stream,
        durable: options.durable,
        filterSubjects: options.filterSubjects ?? options.events.map(({ event }) => wildcardOf(event.pattern)),
        ackWaitMs: consumer.ackWaitMs,
        maxAckPending: options.maxAckPending ?? 256,
      },
      batchMax: options.concurrencyMax ?? 16,
      expiresMs: 5_000,
      onMessages: (messages) => consumer.take(messages),
    });
    return consumer;
  }

  stats(): ConsumerStats {
    return { ...this.counts, inFlight: this.slots.inFlight };
  }

  /** Takes nothing more, waits for running handlers (10 s), then aborts their signal. */
  async stop(): Promise<void> {
    const ended = (async () => {
      await this.loop?.stop();
      await this.slots.idle();
    })();
    if (!(await settledWithin(ended, stopWaitMs))) this.hardStop.abort();
  }

  private async take(messages: ConsumerMessages): Promise<void> {
    for await (const message of messages) {
      if (this.loop?.isStopping === true) {
        // Another replica may have it at once.
        await this.loop.withdrawn();
        message.nak();
        continue;
      }
      await this.slots.acquire();
      void this.settle(message).finally(() => {
        this.slots.release();
      });
    }
  }

  /** Never rejects: whatever happens, the message is answered or left to be delivered again. */
  private async settle(message: JsMsg): Promise<void> {
    try {
      const outcome = await this.process(message);
      if (outcome.kind === "dead") {
        await this.bury(message, outcome.reason, outcome.problem);
      } else if (outcome.kind === "retry") {
        this.retry(message, outcome.error);
      } else {
        this.counts[outcome.kind === "done" ? "handled" : "unknown"] += 1;
        message.ack();
      }
    } catch (error) {
      // The dead letter could not be stored, or the connection is closed. The message stays in its stream.
      this.deps.logger.error("bus.event.unsettled", { stream: this.options.stream, name: this.options.durable, error });
      if (!this.deps.nc.isClosed()) message.nak(retryDelayMaxMs);
    }
  }

  private retry(message: JsMsg, error: unknown): void {
    const attempt = message.info.deliveryCount;
    const { stream, durable, retryBaseMs = 250 } = this.options;
    this.counts.retried += 1;
    this.deps.logger.warn("bus.event.retried", { stream, name: durable, subject: message.subject, attempt, error });
    message.nak(backoffMs(attempt, retryBaseMs, retryDelayMaxMs));
  }

  private async bury(message: JsMsg, reason: DeadLetterReason, problem: string): Promise<void> {
    const { stream, durable } = this.options;
    await publishDeadLetter(this.publisher, message, { stream, durable, reason, problem });
    this.counts.deadLettered += 1;
    const attempt = message.info.deliveryCount;
    this.deps.logger.error("bus.event.dead_lettered", {
      stream,
      name: durable,
      subject: message.subject,
      code: reason,
      attempt,
      error: problem,
    });
    message.term();
  }

  private async process(message: JsMsg): Promise<Outcome> {
    // The subject decides whose message it is: on a server without several filters, foreign ones come along.
    if (!this.options.events.some(({ event }) => matches(event.pattern, message.subject))) return { kind: "unknown" };
    if (message.info.deliveryCount > deliveriesHardMax) {
      return { kind: "dead", reason: "exhausted", problem: "delivered too often, perhaps crashing its receiver" };
    }
    const outer = parseEnvelope(message.data);
    if (!outer.ok) return { kind: "dead", reason: "poison", problem: `envelope: ${outer.problem}` };
    const handler = this.handlers.get(outer.value.type);
    if (!handler) return { kind: "unknown" };
    const data = parseData(handler.event.data, outer.value.data);
    if (!data.ok) return { kind: "dead", reason: "poison", problem: `data: ${data.problem}` };
    const { id, type, time } = outer.value;
    const meta = { id, time: new Date(time), deliveries: message.info.deliveryCount };
    return this.run(message, type, (signal) => handler.handle(data.value, { ...meta, signal }));
  }

  private async run(message: JsMsg, type: string, handle: (signal: AbortSignal) => Promise<void>): Promise<Outcome> {
    const deadline = new AbortController();
    const timer = setTimeout(() => {
      deadline.abort(new Error("the time for this message is over"));
    }, this.ackWaitMs * 0.9);
    const attributes = {
      "messaging.destination.name": this.options.stream,
      "messaging.consumer.group.name": this.options.durable,
    };
    try {
      await withSpan(
        { name: `process ${type}`, kind: SpanKind.CONSUMER, parent: traceOf(message.headers), attributes },
        () => handle(AbortSignal.any([this.hardStop.signal, deadline.signal])),
      );
      return { kind: "done" };
    } catch (error) {
      return this.judge(message, error);
    } finally {
      clearTimeout(timer);
    }
  }

  private judge(message: JsMsg, error: unknown): Outcome {
    if (error instanceof PermanentFailure) return { kind: "dead", reason: "permanent", problem: describeError(error) };
    if (error instanceof AppError && error.kind === "unavailable") return { kind: "retry", error };
    if (message.info.deliveryCount < (this.options.deliveriesMax ?? 8)) return { kind: "retry", error };
    return { kind: "dead", reason: "exhausted", problem: describeError(error) };
  }
}
