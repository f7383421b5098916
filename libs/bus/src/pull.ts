import type { StreamName } from "@codex/contracts";
import type {
  Consumer,
  ConsumerConfig,
  ConsumerInfo,
  ConsumerMessages,
  ConsumerUpdateConfig,
  JetStreamClient,
  JetStreamManager,
} from "@nats-io/jetstream";
import { AckPolicy, DeliverPolicy, ReplayPolicy } from "@nats-io/jetstream";
import { nanos, type NatsConnection } from "@nats-io/nats-core";
import type { ConnectionState } from "./connection.ts";
import { isMissingConsumer } from "./jetstream-errors.ts";
import type { BusLogger } from "./logger.ts";
import { backoffMs, pause } from "./timing.ts";
import { TopologyDrift } from "./topology.ts";

export interface PullDeps {
  readonly nc: NatsConnection;
  readonly js: JetStreamClient;
  readonly jsm: JetStreamManager;
  readonly state: ConnectionState;
  readonly logger: BusLogger;
}

interface DurableSpec {
  readonly stream: StreamName;
  readonly durable: string;
  /** Empty: every subject of the stream. */
  readonly filterSubjects: readonly string[];
  readonly ackWaitMs: number;
  readonly maxAckPending: number;
}

/** Pull requests that may wait at the server: one a replica, and those of replicas that went away a moment ago. */
const maxWaiting = 128;

/** Several filters on one consumer came with 2.10; before it, the receiver passes over what it did not ask for. */
function supportsManyFilters(serverVersion: string): boolean {
  const [major = 0, minor = 0] = serverVersion.split(".").map(Number);
  return major > 2 || (major === 2 && minor >= 10);
}

function filterOf(
  spec: DurableSpec,
  serverVersion: string,
): Pick<ConsumerConfig, "filter_subject" | "filter_subjects"> {
  const [first, ...others] = spec.filterSubjects;
  if (first === undefined) return {};
  if (others.length === 0) return { filter_subject: first };
  return supportsManyFilters(serverVersion) ? { filter_subjects: [...spec.filterSubjects] } : {};
}

function desiredConsumer(spec: DurableSpec, serverVersion: string): Partial<ConsumerConfig> {
  return {
    durable_name: spec.durable,
    ack_policy: AckPolicy.Explicit,
    deliver_policy: DeliverPolicy.All,
    replay_policy: ReplayPolicy.Instant,
    ack_wait: nanos(spec.ackWaitMs),
    // The server's own bound would drop a message without a word; ours ends in the dead letters.
    max_deliver: -1,
    max_ack_pending: spec.maxAckPending,
    max_waiting: maxWaiting,
    ...filterOf(spec, serverVersion),
  };
}

function filtersFound(config: Partial<ConsumerConfig>): string {
  const one = config.filter_subject;
  return [...(config.filter_subjects ?? []), ...(one === undefined || one === "" ? [] : [one])].sort().join(" ");
}

function changedFields(asked: Partial<ConsumerConfig>, found: ConsumerConfig): string[] {
  const fields = ["ack_wait", "max_ack_pending", "max_deliver"] as const;
  const changed: string[] = fields.filter((field) => asked[field] !== found[field]);
  if (filtersFound(asked) !== filtersFound(found)) changed.push("filter_subject");
  return changed;
}

async function findConsumer(jsm: JetStreamManager, spec: DurableSpec): Promise<ConsumerInfo | undefined> {
  try {
    return await jsm.consumers.info(spec.stream, spec.durable);
  } catch (error) {
    if (isMissingConsumer(error)) return undefined;
    throw error;
  }
}

/**
 * A consumer can be ahead of its stream after a power loss that took the stream's last messages (nats-server #3996): it
 * would then pass over everything new. It is made anew and delivers all; receivers are idempotent.
 */
async function isAheadOfStream(jsm: JetStreamManager, spec: DurableSpec, found: ConsumerInfo): Promise<boolean> {
  const { state } = await jsm.streams.info(spec.stream);
  return found.delivered.stream_seq > state.last_seq;
}

/** Creates the durable consumer, or brings the one that exists to what is asked. Idempotent, safe among replicas. */
async function ensureConsumer(deps: PullDeps, spec: DurableSpec): Promise<Consumer> {
  const { jsm, js, logger } = deps;
  const asked = desiredConsumer(spec, deps.nc.info?.version ?? "0.0.0");
  let found = await findConsumer(jsm, spec);
  if (found && (await isAheadOfStream(jsm, spec, found))) {
    logger.error("bus.consumer.ahead_of_stream", { stream: spec.stream, name: spec.durable });
    await jsm.consumers.delete(spec.stream, spec.durable);
    found = undefined;
  }
  found ??= await jsm.consumers.add(spec.stream, asked);
  if (changedFields(asked, found.config).length > 0) {
    // Explicit undefined takes a former filter away, which the type does not foresee.
    const change = { ...asked, filter_subject: asked.filter_subject, filter_subjects: asked.filter_subjects };
    found = await jsm.consumers.update(spec.stream, spec.durable, change as Partial<ConsumerUpdateConfig>);
  }
  const left = changedFields(asked, found.config);
  if (left.length > 0) {
    throw new TopologyDrift(
      left.map((field) => ({
        stream: `${spec.stream}/${spec.durable}`,
        field,
        asked: "as declared",
        found: "another",
      })),
    );
  }
  return js.consumers.getConsumerFromInfo(found);
}

interface PullLoopOptions {
  readonly spec: DurableSpec;
  /** Messages of one pull request. */
  readonly batchMax: number;
  /** How long a pull request waits at the server; at least 1,000. */
  readonly expiresMs: number;
  /** Takes the messages of one pull request as they arrive; returns when the iterable ends. */
  readonly onMessages: (messages: ConsumerMessages) => Promise<void>;
}

/**
 * Asks for messages again and again until stopped. After any failure and after each reconnect the consumer is checked and,
 * when it is gone, made again; so a lost server or a wiped disk needs no restart of ours.
 */
export class PullLoop {
  private readonly deps: PullDeps;
  private readonly options: PullLoopOptions;
  private readonly stopping = new AbortController();
  private consumer: Consumer | undefined;
  private current: ConsumerMessages | undefined;
  private running: Promise<void> = Promise.resolve();
  private readonly unsubscribe: () => void;

  private constructor(deps: PullDeps, options: PullLoopOptions) {
    this.deps = deps;
    this.options = options;
    this.unsubscribe = deps.state.onReconnect(() => {
      this.consumer = undefined;
      void this.current?.close();
    });
  }

  /** Resolves once the consumer exists; rejects when it cannot be made, so that a wrong set-up is seen at start. */
  static async start(deps: PullDeps, options: PullLoopOptions): Promise<PullLoop> {
    const consumer = await ensureConsumer(deps, options.spec);
    const loop = new PullLoop(deps, options);
    loop.consumer = consumer;
    loop.running = loop.run();
    return loop;
  }

  get isStopping(): boolean {
    return this.stopping.signal.aborted;
  }

  /** Asks for nothing more and resolves when the last `onMessages` has returned. Idempotent. */
  async stop(): Promise<void> {
    this.unsubscribe();
    this.stopping.abort();
    void this.current?.close();
    await this.running;
  }

  private async run(): Promise<void> {
    const { logger, nc } = this.deps;
    const { spec } = this.options;
    let failures = 0;
    while (!this.isStopping && !nc.isClosed()) {
      try {
        await this.pullOnce();
        failures = 0;
      } catch (error) {
        if (this.stopping.signal.aborted) return;
        failures += 1;
        this.consumer = undefined;
        logger.warn("bus.pull.failed", { stream: spec.stream, name: spec.durable, attempt: failures, error });
        await pause(backoffMs(failures, 100, 2_000), this.stopping.signal);
      }
    }
  }

  private async pullOnce(): Promise<void> {
    const { spec, batchMax, expiresMs, onMessages } = this.options;
    await this.deps.state.ready(expiresMs, this.stopping.signal);
    this.consumer ??= await ensureConsumer(this.deps, spec);
    const messages = await this.consumer.fetch({ max_messages: batchMax, expires: expiresMs });
    this.current = messages;
    if (this.isStopping) void messages.close();
    try {
      await onMessages(messages);
    } finally {
      this.current = undefined;
      void messages.close();
    }
  }
}
