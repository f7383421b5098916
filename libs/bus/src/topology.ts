import { allKvs, streams, type KvDef, type StreamDef } from "@codex/contracts";
import type { JetStreamManager, StreamConfig } from "@nats-io/jetstream";
import { DiscardPolicy, JetStreamApiError, RetentionPolicy, StorageType } from "@nats-io/jetstream";
import { nanos } from "@nats-io/nats-core";
import { isMissingStream } from "./jetstream-errors.ts";
import type { BusLogger } from "./logger.ts";

/** Every setting is said, so that a server's own default (which differs between versions) never decides. */
type DesiredStream = Pick<
  StreamConfig,
  | "name"
  | "description"
  | "subjects"
  | "retention"
  | "storage"
  | "discard"
  | "max_msgs"
  | "max_msgs_per_subject"
  | "max_bytes"
  | "max_age"
  | "max_msg_size"
  | "duplicate_window"
  | "num_replicas"
  | "deny_delete"
  | "deny_purge"
  | "allow_rollup_hdrs"
  | "allow_direct"
>;

export interface Drift {
  readonly stream: string;
  readonly field: string;
  readonly asked: unknown;
  readonly found: unknown;
}

/** The server's streams are not what the contracts ask for, and changing them could delete messages. A person decides. */
export class TopologyDrift extends Error {
  readonly drifts: readonly Drift[];

  constructor(drifts: readonly Drift[]) {
    const list = drifts.map(
      ({ stream, field, asked, found }) =>
        `${stream}.${field} is ${JSON.stringify(found)}, asked ${JSON.stringify(asked)}`,
    );
    super(`JetStream differs from the contracts: ${list.join("; ")}`);
    this.name = "TopologyDrift";
    this.drifts = drifts;
  }
}

/** Room for the headers of a conditional write, which the server counts into `max_msg_size`. */
const kvHeaderBytes = 256;

const defaultDuplicateWindowMs = 120_000;

function desiredStream(def: StreamDef, replicas: number): DesiredStream {
  return {
    name: def.name,
    description: def.description,
    subjects: [...def.subjects],
    retention: RetentionPolicy.Limits,
    storage: StorageType.File,
    discard: def.discard === "new" ? DiscardPolicy.New : DiscardPolicy.Old,
    max_msgs: def.maxMessages,
    max_msgs_per_subject: -1,
    // Servers before 2.10.5 delete the oldest in silence when `discard: new` meets a byte limit.
    max_bytes: -1,
    max_age: nanos(def.maxAgeMs),
    max_msg_size: def.maxMessageBytes,
    duplicate_window: nanos(def.duplicateWindowMs),
    num_replicas: replicas,
    // What must not be lost when full must not be deleted one by one either; purging up to a watermark stays possible.
    deny_delete: def.discard === "new",
    deny_purge: false,
    allow_rollup_hdrs: false,
    allow_direct: false,
  };
}

/** A bucket is a stream with this shape (ADR-8 of nats-architecture-and-design). */
export function desiredBucket(def: KvDef, replicas: number): DesiredStream {
  return {
    name: `KV_${def.bucket}`,
    description: def.description,
    subjects: [`$KV.${def.bucket}.>`],
    retention: RetentionPolicy.Limits,
    storage: StorageType.File,
    discard: DiscardPolicy.New,
    max_msgs: -1,
    max_msgs_per_subject: def.history,
    max_bytes: -1,
    max_age: nanos(def.ttlMs),
    max_msg_size: def.maxValueBytes + kvHeaderBytes,
    duplicate_window: nanos(def.ttlMs > 0 ? Math.min(def.ttlMs, defaultDuplicateWindowMs) : defaultDuplicateWindowMs),
    num_replicas: replicas,
    deny_delete: true,
    deny_purge: false,
    allow_rollup_hdrs: true,
    // Direct reads may come from a replica that lags; prices and revocations are read after being written.
    allow_direct: false,
  };
}

/** Zero and minus one both mean "no limit" here. */
function limit(value: unknown): number {
  return typeof value === "number" && value > 0 ? value : Infinity;
}

function sameValue(asked: unknown, found: unknown): boolean {
  if (Array.isArray(asked) && Array.isArray(found)) {
    return asked.length === found.length && asked.every((item) => found.includes(item));
  }
  // A server leaves false and empty fields out of its answer.
  return asked === found || (asked === false && found === undefined) || (asked === "" && found === undefined);
}

const limitFields = new Set<string>(["max_msgs", "max_msgs_per_subject", "max_bytes", "max_age", "max_msg_size"]);

function same(field: string, asked: unknown, found: unknown): boolean {
  if (limitFields.has(field)) return limit(asked) === limit(found);
  // More copies than asked is an operator's choice for the cluster, not a drift.
  if (field === "num_replicas") return typeof found === "number" && typeof asked === "number" && found >= asked;
  return sameValue(asked, found);
}

/** Every field in which the server's configuration is not the one asked for. */
function compareStream(asked: DesiredStream, found: Partial<StreamConfig>): Drift[] {
  return Object.entries(asked).flatMap(([field, value]) => {
    const other = found[field as keyof DesiredStream];
    return same(field, value, other) ? [] : [{ stream: asked.name, field, asked: value, found: other }];
  });
}

/** Can this field be changed on a stream in use without any message being deleted or turned away? */
function isHarmless({ field, asked, found }: Drift): boolean {
  if (limitFields.has(field)) return limit(asked) > limit(found);
  if (field === "subjects")
    return Array.isArray(found) && found.every((subject) => (asked as readonly unknown[]).includes(subject));
  return ["description", "num_replicas", "duplicate_window", "allow_direct", "allow_rollup_hdrs"].includes(field);
}

async function findConfig(jsm: JetStreamManager, name: string): Promise<StreamConfig | undefined> {
  try {
    return (await jsm.streams.info(name)).config;
  } catch (error) {
    if (isMissingStream(error)) return undefined;
    throw error;
  }
}

async function createOrFind(jsm: JetStreamManager, asked: DesiredStream): Promise<StreamConfig> {
  const existing = await findConfig(jsm, asked.name);
  if (existing) return existing;
  try {
    return (await jsm.streams.add(asked)).config;
  } catch (error) {
    // Another replica was faster with another version of the contracts; go on from what it made.
    const raced = error instanceof JetStreamApiError ? await findConfig(jsm, asked.name) : undefined;
    if (!raced) throw error;
    return raced;
  }
}

/**
 * Makes one stream what is asked: creates it, widens it, or throws {@link TopologyDrift} when the change could lose
 * messages. What the server answers is compared at the end, because servers drop settings they do not know without a word.
 */
export async function ensureStream(jsm: JetStreamManager, asked: DesiredStream, logger: BusLogger): Promise<void> {
  const drifts = compareStream(asked, await createOrFind(jsm, asked));
  if (drifts.length === 0) return;
  const harmful = drifts.filter((drift) => !isHarmless(drift));
  if (harmful.length > 0) throw new TopologyDrift(harmful);
  logger.warn("bus.topology.updated", { stream: asked.name, name: drifts.map((drift) => drift.field).join(",") });
  const updated = await jsm.streams.update(asked.name, asked);
  const left = compareStream(asked, updated.config);
  if (left.length > 0) throw new TopologyDrift(left);
}

/** All streams and buckets of the contracts. Idempotent, and safe when every service does it at the same time. */
export async function ensureAll(jsm: JetStreamManager, replicas: number, logger: BusLogger): Promise<void> {
  const wanted = [
    ...Object.values(streams).map((def) => desiredStream(def, replicas)),
    ...allKvs.map((def) => desiredBucket(def, replicas)),
  ];
  for (const asked of wanted) await ensureStream(jsm, asked, logger);
}
