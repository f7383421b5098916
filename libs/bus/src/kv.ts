import { gunzipSync, gzipSync } from "node:zlib";
import type { KvDef } from "@codex/contracts";
import { DeliverPolicy, type ConsumerMessages, type JetStreamManager, type JsMsg } from "@nats-io/jetstream";
import type { KV } from "@nats-io/kv";
import { z } from "zod";
import { parseData, parseJson } from "./envelope.ts";
import { busUnavailable, describeError } from "./errors.ts";
import { isWrongRevision } from "./jetstream-errors.ts";
import type { PullDeps } from "./pull.ts";
import { backoffMs, pause } from "./timing.ts";

export interface KvEntry<T> {
  readonly key: string;
  readonly value: T;
  /** Grows with each write to the bucket; what `update` expects. */
  readonly revision: number;
}

export interface KvChange<T> {
  readonly key: string;
  /** Null when the key was deleted. */
  readonly value: T | null;
  readonly revision: number;
}

export interface KvWatchOptions<T> {
  /** One key or a wildcard; every key by default. */
  readonly key?: string | undefined;
  /**
   * Called for the present values first, then for each change, in order. After a reconnect it goes on where it was; when
   * the server lost its data, present values come again, with lower revisions. Must not throw: what it throws is logged.
   */
  readonly onChange: (change: KvChange<T>) => void;
  /** Called once, when the present values have been delivered. */
  readonly onReady?: (() => void) | undefined;
}

/** A bucket whose values are parsed and encoded with the contract. Every method throws `unavailable` when NATS does not answer. */
export interface TypedKv<T> {
  /** Null when there is no value, or none that parses (which is logged). */
  get(key: string): Promise<KvEntry<T> | null>;
  /** Writes whatever was there. Answers the revision. */
  put(key: string, value: T): Promise<number>;
  /** Writes only when the key has no value; null when it has. */
  create(key: string, value: T): Promise<number | null>;
  /** Writes only when the key's revision is the expected one; null when it is not. */
  update(key: string, value: T, revision: number): Promise<number | null>;
  delete(key: string): Promise<void>;
  watch(options: KvWatchOptions<T>): Promise<{ stop(): Promise<void> }>;
}

const operationHeader = "KV-Operation";

/** A small stored value must not become a large one in memory. */
const unzippedBytesMax = 33_554_432;

/** JSON never begins like gzip does (RFC 1952 §2.3.1). */
function isGzip(bytes: Uint8Array): boolean {
  return bytes[0] === 0x1f && bytes[1] === 0x8b;
}

function readText(bytes: Uint8Array): ReturnType<typeof parseJson> {
  if (!isGzip(bytes)) return parseJson(bytes);
  try {
    return parseJson(gunzipSync(bytes, { maxOutputLength: unzippedBytesMax }));
  } catch (error) {
    return { ok: false, problem: describeError(error) };
  }
}

export class KvBucket<S extends z.ZodType> implements TypedKv<z.output<S>> {
  private readonly def: KvDef<S>;
  private readonly kv: KV;
  private readonly deps: PullDeps;

  constructor(def: KvDef<S>, kv: KV, deps: PullDeps) {
    this.def = def;
    this.kv = kv;
    this.deps = deps;
  }

  async get(key: string): Promise<KvEntry<z.output<S>> | null> {
    const entry = await this.guard(key, () => this.kv.get(key));
    if (!entry || entry.operation !== "PUT") return null;
    const value = this.parse(key, entry.value);
    return value === undefined ? null : { key, value: value.value, revision: entry.revision };
  }

  async put(key: string, value: z.output<S>): Promise<number> {
    const text = this.encode(value);
    return this.guard(key, () => this.kv.put(key, text));
  }

  async create(key: string, value: z.output<S>): Promise<number | null> {
    const text = this.encode(value);
    return this.guard(key, () => nullWhenWrongRevision(this.kv.create(key, text)));
  }

  async update(key: string, value: z.output<S>, revision: number): Promise<number | null> {
    const text = this.encode(value);
    return this.guard(key, () => nullWhenWrongRevision(this.kv.update(key, text, revision)));
  }

  delete(key: string): Promise<void> {
    return this.guard(key, () => this.kv.delete(key));
  }

  async watch(options: KvWatchOptions<z.output<S>>): Promise<{ stop(): Promise<void> }> {
    return KvWatch.start(this.deps, this.def.bucket, options, (key, bytes) => this.parse(key, bytes));
  }

  private encode(value: z.output<S>): string | Uint8Array {
    const text = JSON.stringify(z.encode(this.def.value, value));
    const { gzipAboveBytes = Number.POSITIVE_INFINITY, maxValueBytes } = this.def;
    const stored = Buffer.byteLength(text) > gzipAboveBytes ? gzipSync(text) : text;
    const bytes = Buffer.byteLength(stored);
    if (bytes > maxValueBytes) {
      throw new Error(
        `value of ${String(bytes)} bytes exceeds the ${String(maxValueBytes)} of bucket ${this.def.bucket}`,
      );
    }
    return stored;
  }

  /** Wrapped, so that a stored null differs from "does not parse". */
  private parse(key: string, bytes: Uint8Array): { readonly value: z.output<S> } | undefined {
    const json = readText(bytes);
    const parsed = json.ok ? parseData(this.def.value, json.value) : json;
    if (parsed.ok) return { value: parsed.value };
    this.deps.logger.error("bus.kv.unreadable_value", { name: `${this.def.bucket}/${key}`, error: parsed.problem });
    return undefined;
  }

  private async guard<R>(key: string, run: () => Promise<R>): Promise<R> {
    await this.deps.state.ready(2_000);
    try {
      return await run();
    } catch (error) {
      throw busUnavailable({ bucket: this.def.bucket, key }, error);
    }
  }
}

async function nullWhenWrongRevision(write: Promise<number>): Promise<number | null> {
  try {
    return await write;
  } catch (error) {
    if (isWrongRevision(error)) return null;
    throw error;
  }
}

/** The stream's birth and the last revision seen: where to go on, if it is still the same stream. */
interface Position {
  readonly created: string;
  readonly revision: number;
}

type Parse<T> = (key: string, bytes: Uint8Array) => { readonly value: T } | undefined;

/**
 * A watch that survives reconnects. The client's own notices a lost consumer only by two missed heartbeats of 30 s (it
 * overrides the interval asked for, jetstream 3.4.0), which is too late for revocations; this one opens again at once.
 */
class KvWatch<T> {
  private readonly deps: PullDeps;
  private readonly bucket: string;
  private readonly options: KvWatchOptions<T>;
  private readonly parse: Parse<T>;
  private readonly stopping = new AbortController();
  private readonly unsubscribe: () => void;
  private position: Position | undefined;
  private current: ConsumerMessages | undefined;
  private isReady = false;
  private running: Promise<void> = Promise.resolve();

  private constructor(deps: PullDeps, bucket: string, options: KvWatchOptions<T>, parse: Parse<T>) {
    this.deps = deps;
    this.bucket = bucket;
    this.options = options;
    this.parse = parse;
    this.unsubscribe = deps.state.onReconnect(() => void this.current?.close());
  }

  static async start<T>(
    deps: PullDeps,
    bucket: string,
    options: KvWatchOptions<T>,
    parse: Parse<T>,
  ): Promise<KvWatch<T>> {
    const watch = new KvWatch(deps, bucket, options, parse);
    watch.running = watch.run(await watch.open());
    return watch;
  }

  async stop(): Promise<void> {
    this.unsubscribe();
    this.stopping.abort();
    void this.current?.close();
    await this.running;
  }

  private async run(first: ConsumerMessages): Promise<void> {
    let messages: ConsumerMessages | undefined = first;
    let failures = 0;
    while (!this.stopping.signal.aborted && !this.deps.nc.isClosed()) {
      try {
        messages ??= await this.open();
        failures = 0;
        for await (const message of messages) this.deliver(message);
      } catch (error) {
        failures += 1;
        this.deps.logger.warn("bus.kv.watch_failed", { name: this.bucket, attempt: failures, error });
        await pause(backoffMs(failures, 100, 2_000), this.stopping.signal);
      }
      messages = undefined;
    }
  }

  private async open(): Promise<ConsumerMessages> {
    const { js, jsm, state } = this.deps;
    await state.ready(5_000, this.stopping.signal);
    const stream = `KV_${this.bucket}`;
    const resumeFrom = await this.resumeRevision(jsm, stream);
    const consumer = await js.consumers.getPushConsumer(stream, {
      filter_subjects: `$KV.${this.bucket}.${this.options.key ?? ">"}`,
      ...(resumeFrom === undefined ? { deliver_policy: DeliverPolicy.LastPerSubject } : { opt_start_seq: resumeFrom }),
    });
    const { num_pending: pending } = await consumer.info(true);
    const messages = await consumer.consume();
    this.current = messages;
    if (this.stopping.signal.aborted) void messages.close();
    else if (pending === 0) this.ready();
    return messages;
  }

  private async resumeRevision(jsm: JetStreamManager, stream: string): Promise<number | undefined> {
    const { created, state } = await jsm.streams.info(stream);
    const seen = this.position;
    const resumes = seen?.created === created && seen.revision > 0 && seen.revision <= state.last_seq;
    this.position = { created, revision: resumes ? seen.revision : 0 };
    return resumes ? seen.revision + 1 : undefined;
  }

  private deliver(message: JsMsg): void {
    const key = message.subject.slice(`$KV.${this.bucket}.`.length);
    const operation = message.headers?.get(operationHeader);
    const isDeleted = operation === "DEL" || operation === "PURGE";
    const parsed = isDeleted ? { value: null } : this.parse(key, message.data);
    if (this.position) this.position = { ...this.position, revision: message.seq };
    try {
      if (parsed) this.options.onChange({ key, value: parsed.value, revision: message.seq });
    } catch (error) {
      this.deps.logger.error("bus.kv.listener_failed", { name: `${this.bucket}/${key}`, error: describeError(error) });
    }
    if (message.info.pending === 0) this.ready();
  }

  private ready(): void {
    if (this.isReady) return;
    this.isReady = true;
    this.options.onReady?.();
  }
}
