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
import { nanos, type NatsConnection, type Subscription } from "@nats-io/nats-core";
import type { ConnectionState } from "./connection.ts";
import { isMissingConsumer } from "./jetstream-errors.ts";
import type { BusLogger } from "./logger.ts";
import { backoffMs, pause, settled, settledWithin } from "./timing.ts";
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

/** Longest wait for each of two round trips when a pull request is ended; a second means that the connection is bad. */
const withdrawMs = 1_000;

/**
 * Ends a pull request without losing what is on its way. Closing it would drop what the server has sent and nobody has read
 * yet, and each of those messages would wait out the ack wait. So first only the interest is withdrawn: what was sent before
 * still arrives, and what was not, the server gives to another receiver at once.
 *
 * Servers of 2.9 lose a message for the ack wait when it is given back while the only request they have is one that nobody
 * listens to any more. A question about the consumer makes them clean up first, so nothing may be given back before this
 * resolves. At most two seconds. Never rejects.
 */
async function withdraw(messages: ConsumerMessages, consumer: Consumer | undefined): Promise<void> {
  // The client ends the iteration in order when this subscription drains, but its type does not show the subscription.
  const { sub } = messages as ConsumerMessages & { readonly sub?: Subscription };
  const drained = !sub || sub.isClosed() || (await settledWithin(sub.drain(), withdrawMs));
  if (drained && consumer) await settledWithin(consumer.info(), withdrawMs);
  void messages.close();
}

interface PullLoopOptions {
  readonly spec: DurableSpec;
  /** Messages of one pull request. */
  readonly batchMax: number;
  /** How long a pull request waits at the server; at least 1,000. */
  readonly expiresMs: number;
  /** Takes the messages of one pull request as they arrive; returns when the iterable ends. */
  readonly onMessages: (messages: ConsumerMessages, loop: PullLoop) => Promise<void>;
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
  private receiving: Promise<void> = Promise.resolve();
  private withdrawal: Promise<void> = Promise.resolve();
  private readonly unsubscribe: () => void;

  private constructor(deps: PullDeps, options: PullLoopOptions) {
    this.deps = deps;
    this.options = options;
    this.unsubscribe = deps.state.onReconnect(() => {
      this.consumer = undefined;
      if (this.current) void withdraw(this.current, undefined);
    });
  }

  /** Resolves once the consumer exists; rejects when it cannot be made, so that a wrong set-up is seen at start. */
  static async start(deps: PullDeps, options: PullLoopOptions): Promise<PullLoop> {
    const consumer = await ensureConsumer(deps, options.spec);
    const loop = new PullLoop(deps, options);
    loop.consumer = consumer;
    void loop.run();
    return loop;
  }

  get isStopping(): boolean {
    return this.stopping.signal.aborted;
  }

  /**
   * Asks for nothing more and resolves when the last `onMessages` has returned: it still gets what is on its way, and should
   * give it back once `withdrawn` has resolved. Idempotent, never rejects.
   */
  async stop(): Promise<void> {
    this.unsubscribe();
    if (!this.isStopping) {
      this.stopping.abort();
      if (this.current) this.withdrawal = withdraw(this.current, this.consumer);
    }
    await this.withdrawal;
    await settled(this.receiving);
  }

  /** After a stop, resolves within two seconds when the server gives nothing more to this loop. */
  withdrawn(): Promise<void> {
    return this.withdrawal;
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
    // The request leaves with the first look at the messages, so up to here nothing can be on its way.
    if (this.isStopping) {
      void messages.close();
      return;
    }
    this.current = messages;
    try {
      this.receiving = onMessages(messages, this);
      await this.receiving;
    } finally {
      this.current = undefined;
      void messages.close();
    }
  }
}
