import type { BusLogger } from "./logger.ts";
import type { OutgoingMessage } from "./publisher.ts";
import { backoffMs, pause } from "./timing.ts";

/**
 * Sends commands until whoever receives them has said what became of each (docs/adr/0016). An acknowledgement of JetStream is
 * no end: it may lose what it acknowledged. The receiver must be idempotent by something else than the message id.
 */

export interface SentCommand extends OutgoingMessage {
  readonly id: bigint;
  readonly sends: number;
  readonly sentAgoMs: number;
}

type Decision =
  | { readonly id: bigint; readonly kind: "confirmed" | "refused" }
  | { readonly id: bigint; readonly kind: "sent" | "waits"; readonly dueInMs: number };

/** What the relay needs of a service's commands; `commandOutboxSource` of @codex/db fits. */
export interface CommandSource {
  process(limit: number, decide: (rows: readonly SentCommand[]) => Promise<readonly Decision[]>): Promise<number>;
}

/** `waiting`: the receiver holds the command and will try it again by itself. Absent: it knows nothing of it. */
export type Verdict = "applied" | "refused" | "waiting";

export interface CommandRelayOptions {
  readonly source: CommandSource;
  readonly bus: { publishRaw(rows: readonly OutgoingMessage[]): Promise<void> };
  /** Asks the receiver, by event id; rejects when it does not answer. Never more than 200 ids. */
  readonly verdicts: (eventIds: readonly string[]) => Promise<ReadonlyMap<string, Verdict>>;
  /** The receiver will never do it; belongs in the log and in an alarm. Told once a command, again after a crash. */
  readonly onRefused: (eventId: string) => void;
  readonly logger: BusLogger;
  /** Between two looks for rows that are due; 1,000 by default. */
  readonly pollMs?: number | undefined;
  /** From a send without a verdict to the next; doubles up to an hour. 30,000 by default. */
  readonly resendMs?: number | undefined;
}

export interface CommandRelay {
  /** Ends after the batch under way; what is left stays for the next start. Idempotent. */
  stop(): Promise<void>;
}

const batchMax = 200;
const askMinMs = 1_000;
const askMaxMs = 60_000;
const resendDefaultMs = 30_000;
const resendMaxMs = 3_600_000;
const failureDelayMaxMs = 5_000;

class Relay implements CommandRelay {
  private readonly options: CommandRelayOptions;
  private readonly stopping = new AbortController();
  private readonly running: Promise<void>;

  constructor(options: CommandRelayOptions) {
    this.options = options;
    this.running = this.run();
  }

  async stop(): Promise<void> {
    this.stopping.abort();
    await this.running;
  }

  private async run(): Promise<void> {
    const { source, logger, pollMs = 1_000 } = this.options;
    const { signal } = this.stopping;
    let failures = 0;
    while (!signal.aborted) {
      try {
        const count = await source.process(batchMax, (rows) => this.decide(rows));
        failures = 0;
        if (count < batchMax) await pause(pollMs, signal);
      } catch (error) {
        failures += 1;
        logger.warn("bus.commands.failed", { attempt: failures, error });
        await pause(backoffMs(failures, 100, failureDelayMaxMs), signal);
      }
    }
  }

  /** Nothing goes out a second time before the receiver was asked. */
  private async decide(rows: readonly SentCommand[]): Promise<readonly Decision[]> {
    const sentBefore = rows.filter(({ sends }) => sends > 0);
    const verdicts = await this.ask(sentBefore);
    const settled: Decision[] = [];
    const toSend = rows.filter(({ sends }) => sends === 0);
    for (const row of sentBefore) {
      const verdict = verdicts?.get(row.eventId);
      if (verdict === "applied") settled.push({ id: row.id, kind: "confirmed" });
      else if (verdict === "refused") {
        this.options.onRefused(row.eventId);
        settled.push({ id: row.id, kind: "refused" });
      } else if (verdicts && verdict === undefined && row.sentAgoMs >= this.resendAfterMs(row)) toSend.push(row);
      else settled.push({ id: row.id, kind: "waits", dueInMs: this.askAfterMs(row) });
    }
    await this.options.bus.publishRaw(toSend.map(messageOf));
    const firstAskMs = Math.min(askMinMs, this.resendMs);
    return [...settled, ...toSend.map(({ id }) => ({ id, kind: "sent", dueInMs: firstAskMs }) as const)];
  }

  /** Undefined when the receiver does not answer. */
  private async ask(rows: readonly SentCommand[]): Promise<ReadonlyMap<string, Verdict> | undefined> {
    if (rows.length === 0) return new Map();
    try {
      return await this.options.verdicts(rows.map(({ eventId }) => eventId));
    } catch (error) {
      this.options.logger.warn("bus.commands.unanswered", { count: rows.length, error });
      return undefined;
    }
  }

  private get resendMs(): number {
    return this.options.resendMs ?? resendDefaultMs;
  }

  private resendAfterMs({ sends }: SentCommand): number {
    return Math.min(this.resendMs * 2 ** (sends - 1), resendMaxMs);
  }

  /** As long again as it has waited already, but not beyond the moment at which it is sent again. */
  private askAfterMs(row: SentCommand): number {
    const again = Math.min(Math.max(row.sentAgoMs, askMinMs), askMaxMs);
    const untilResend = this.resendAfterMs(row) - row.sentAgoMs;
    return untilResend > 0 ? Math.min(again, untilResend) : again;
  }
}

/** A stream that still holds the copy before would drop another one of its id. */
function messageOf({ eventId, subject, payload, headers, sends }: SentCommand): OutgoingMessage {
  return { eventId: sends === 0 ? eventId : `${eventId}-r${String(sends)}`, subject, payload, headers };
}

/** Sends and asks until `stop`; whatever fails is tried again. */
export function startCommandRelay(options: CommandRelayOptions): CommandRelay {
  return new Relay(options);
}
