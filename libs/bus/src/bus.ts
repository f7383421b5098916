import type { EventDef, KvDef, RpcDef, SignalDef, StreamName, SubjectParams } from "@codex/contracts";
import type { Result } from "@codex/kernel";
import { jetstream, jetstreamManager } from "@nats-io/jetstream";
import { Kvm } from "@nats-io/kv";
import type { NatsConnection } from "@nats-io/nats-core";
import type { z } from "zod";
import { ConnectionState, openConnection, serverUrl, type BusConfig, type BusStatus } from "./connection.ts";
import { EventConsumer, type ConsumeOptions, type ConsumerStats } from "./consumer.ts";
import type { EncodedEvent, EventMessage, JsonMessage } from "./envelope.ts";
import { busUnavailable } from "./errors.ts";
import { KvBucket, type TypedKv } from "./kv.ts";
import type { BusLogger } from "./logger.ts";
import { Publisher, type OutgoingMessage, type PublishReceipt } from "./publisher.ts";
import type { PullDeps } from "./pull.ts";
import { readStream, type ReadStreamOptions } from "./reader.ts";
import { streamEnds, type StreamEnds } from "./stream-ends.ts";
import { RpcClient, type CallOptions } from "./rpc-client.ts";
import { listenTo, sendSignal, type SignalListener } from "./signals.ts";
import { RpcServer, type RpcHandler, type ServiceDescription } from "./rpc-server.ts";
import { settledWithin } from "./timing.ts";
import { desiredBucket, ensureAll, ensureStream } from "./topology.ts";

/** One process's connection to NATS with everything typed by the contracts. Safe for concurrent use. */
export interface Bus {
  /** Stores an event; rejects with `unavailable` when not acknowledged within 2 s (unknown, not failed: resend with the same id). */
  publish<P extends string, S extends z.ZodType>(
    event: EventDef<P, S>,
    message: EventMessage<P, S>,
  ): Promise<PublishReceipt>;
  /** {@link publish} of data that are in wire form already; what does not fit the contract is refused by the receiver alone. */
  publishJson<P extends string, S extends z.ZodType>(
    event: EventDef<P, S>,
    message: JsonMessage<P>,
  ): Promise<PublishReceipt>;
  /** Checks and encodes an event for an outbox row. Throws on data, parameters or a size that the contract forbids. */
  encode<P extends string, S extends z.ZodType>(event: EventDef<P, S>, message: EventMessage<P, S>): EncodedEvent;
  /** The outbox relay's publisher: resolves when all are acknowledged, else rejects with the first error. */
  publishRaw(rows: readonly OutgoingMessage[]): Promise<void>;
  /** Asks and waits. A declared refusal is a value; no responder, no answer in time or an unreadable one throws `unavailable`. */
  call<Req extends z.ZodType, Res extends z.ZodType, C extends string>(
    rpc: RpcDef<Req, Res, C>,
    req: z.output<Req>,
    options?: CallOptions,
  ): Promise<Result<z.output<Res>, C>>;
  serve(service: ServiceDescription, handlers: readonly RpcHandler[]): Promise<{ stop(): Promise<void> }>;
  consume(options: ConsumeOptions): Promise<{ stop(): Promise<void>; stats(): ConsumerStats }>;
  /** Tells whoever listens just now; may be lost. Throws on data or parameters that the contract forbids, never on a lost connection. */
  signal<P extends string, S extends z.ZodType>(
    signal: SignalDef<P, S>,
    message: { readonly params: SubjectParams<P>; readonly data: z.output<S> },
  ): void;
  /** Hears a signal with any parameters. What does not parse is logged and dropped. */
  onSignal<P extends string, S extends z.ZodType>(
    signal: SignalDef<P, S>,
    listener: SignalListener<z.output<S>>,
  ): Promise<{ stop(): void }>;
  /** The stream's incarnation and end; rejects with `unavailable`. A stream that was made anew has another `created`. */
  streamState(stream: StreamName): Promise<{ readonly created: Date; readonly lastSeq: number }>;
  /** Reads a subject in order behind a position that the caller keeps; nothing is acknowledged. Begins at once, never rejects. */
  readStream(options: ReadStreamOptions): { stop(): Promise<void> };
  /**
   * Removes what stands in the stream below `seq` (a stream made to be kept by its reader's position). Answers how many messages.
   */
  purgeStream(stream: StreamName, seq: number): Promise<number>;
  /** When the stream was created, its last number, and the last number of each subject asked for; 0 when it has none. */
  streamEnds(stream: StreamName, subjects: readonly string[]): Promise<StreamEnds>;
  /** Opens a bucket, made if missing. */
  kv<S extends z.ZodType>(def: KvDef<S>): Promise<TypedKv<z.output<S>>>;
  /** Makes the server's streams and buckets what the contracts say, or throws `TopologyDrift`. */
  ensureTopology(): Promise<void>;
  status(): BusStatus;
  /** A round trip to the server within 2 s; rejects with `unavailable`. */
  ping(): Promise<void>;
  /** Sends what is buffered, lets subscriptions finish, closes. At most 5 s. Idempotent. */
  drain(): Promise<void>;
  readonly connection: NatsConnection;
  /** Of the server connected to at the moment, "2.9.10". */
  readonly serverVersion: string;
}

export interface BusDeps {
  readonly logger: BusLogger;
  /** The service's name; the `source` of its events. */
  readonly source: string;
}

const apiTimeoutMs = 5_000;
const pingTimeoutMs = 2_000;
const drainTimeoutMs = 5_000;

class NatsBus implements Bus {
  readonly connection: NatsConnection;
  private readonly deps: PullDeps;
  private readonly publisher: Publisher;
  private readonly client: RpcClient;
  private readonly replicas: number;

  constructor(deps: PullDeps, source: string, replicas: number) {
    this.connection = deps.nc;
    this.deps = deps;
    this.publisher = new Publisher(deps.js, deps.state, source);
    this.client = new RpcClient(deps.nc, deps.state);
    this.replicas = replicas;
  }

  get serverVersion(): string {
    return this.connection.info?.version ?? "unknown";
  }

  publish<P extends string, S extends z.ZodType>(
    event: EventDef<P, S>,
    message: EventMessage<P, S>,
  ): Promise<PublishReceipt> {
    return this.publisher.publish(event, message);
  }

  publishJson<P extends string, S extends z.ZodType>(
    event: EventDef<P, S>,
    message: JsonMessage<P>,
  ): Promise<PublishReceipt> {
    return this.publisher.publishJson(event, message);
  }

  encode<P extends string, S extends z.ZodType>(event: EventDef<P, S>, message: EventMessage<P, S>): EncodedEvent {
    return this.publisher.encode(event, message);
  }

  publishRaw(rows: readonly OutgoingMessage[]): Promise<void> {
    return this.publisher.publishRaw(rows);
  }

  call<Req extends z.ZodType, Res extends z.ZodType, C extends string>(
    rpc: RpcDef<Req, Res, C>,
    req: z.output<Req>,
    options?: CallOptions,
  ): Promise<Result<z.output<Res>, C>> {
    return this.client.call(rpc, req, options);
  }

  serve(service: ServiceDescription, handlers: readonly RpcHandler[]): Promise<{ stop(): Promise<void> }> {
    return RpcServer.start(this.connection, this.deps.logger, service, handlers);
  }

  consume(options: ConsumeOptions): Promise<{ stop(): Promise<void>; stats(): ConsumerStats }> {
    return EventConsumer.start(this.deps, this.publisher, options);
  }

  signal<P extends string, S extends z.ZodType>(
    signal: SignalDef<P, S>,
    message: { readonly params: SubjectParams<P>; readonly data: z.output<S> },
  ): void {
    sendSignal(this.connection, signal, message);
  }

  onSignal<P extends string, S extends z.ZodType>(
    signal: SignalDef<P, S>,
    listener: SignalListener<z.output<S>>,
  ): Promise<{ stop(): void }> {
    return listenTo(this.connection, this.deps.logger, signal, listener);
  }

  async streamState(stream: StreamName): Promise<{ readonly created: Date; readonly lastSeq: number }> {
    try {
      const { created, state } = await this.deps.jsm.streams.info(stream);
      return { created: new Date(created), lastSeq: state.last_seq };
    } catch (error) {
      throw busUnavailable({ stream }, error);
    }
  }

  readStream(options: ReadStreamOptions): { stop(): Promise<void> } {
    return readStream(this.deps, options);
  }

  async purgeStream(stream: StreamName, seq: number): Promise<number> {
    const { purged } = await this.deps.jsm.streams.purge(stream, { seq });
    return purged;
  }

  streamEnds(stream: StreamName, subjects: readonly string[]): Promise<StreamEnds> {
    return streamEnds(this.deps.jsm, stream, subjects);
  }

  async kv<S extends z.ZodType>(def: KvDef<S>): Promise<TypedKv<z.output<S>>> {
    await ensureStream(this.deps.jsm, desiredBucket(def, this.replicas), this.deps.logger);
    const bucket = await new Kvm(this.deps.js).open(def.bucket, { allow_direct: false });
    return new KvBucket(def, bucket, this.deps);
  }

  ensureTopology(): Promise<void> {
    return ensureAll(this.deps.jsm, this.replicas, this.deps.logger);
  }

  status(): BusStatus {
    return this.deps.state.status;
  }

  async ping(): Promise<void> {
    if (this.status() !== "connected") throw busUnavailable({ reason: "not connected", status: this.status() });
    const answered = this.connection.rtt();
    if (!(await settledWithin(answered, pingTimeoutMs))) throw busUnavailable({ reason: "no answer to a ping" });
    await answered.catch((error: unknown) => {
      throw busUnavailable({ reason: "ping failed" }, error);
    });
  }

  async drain(): Promise<void> {
    if (this.connection.isClosed()) return;
    const drained = this.connection.isDraining() ? this.connection.closed() : this.connection.drain();
    if (!(await settledWithin(drained, drainTimeoutMs))) this.deps.logger.warn("bus.drain_incomplete");
    // Draining is refused while the connection is down, and must not keep the process alive.
    if (!this.connection.isClosed()) await this.connection.close();
  }
}

/** Connects; rejects when no server answers. The connection then repairs itself for as long as the process lives. */
export async function connectBus(config: BusConfig, { logger, source }: BusDeps): Promise<Bus> {
  const nc = await openConnection(config);
  const js = jetstream(nc, { timeout: apiTimeoutMs });
  const jsm = await jetstreamManager(nc, { timeout: apiTimeoutMs, checkAPI: false });
  const state = new ConnectionState(nc, logger);
  logger.info("bus.connected", { url: serverUrl(nc.getServer()), name: nc.info?.version ?? "unknown" });
  return new NatsBus({ nc, js, jsm, state, logger }, source, config.replicas ?? 1);
}
