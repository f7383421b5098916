import type { Clock } from "@codex/kernel";
import type { Logger } from "@codex/runtime";
import { setTimeout as delay } from "node:timers/promises";
import type { Mail, MailIntent } from "../domain/mail.ts";
import type { MailStore, WaitingMail } from "../store/mail-store.ts";
import type { MailTransport } from "./transport.ts";

/** Mails of one look at the queue. */
const batchMax = 10;
const pollMs = 1_000;
const failureMs = 2_000;

export interface MailSenderOptions {
  readonly store: MailStore;
  readonly transport: MailTransport;
  readonly prepare: (intent: MailIntent) => Promise<Mail | undefined>;
  readonly clock: Clock;
  readonly logger: Logger;
}

/**
 * Takes waiting mails out of the queue and sends them, at least once. Every replica runs one; a mail is leased, so a sender
 * that dies loses nothing. Addresses are in no log line.
 */
export class MailSender {
  private readonly options: MailSenderOptions;
  private readonly stopping = new AbortController();
  private nap = new AbortController();
  private readonly stopped: Promise<undefined>;
  private running: Promise<void> = Promise.resolve();

  constructor(options: MailSenderOptions) {
    this.options = options;
    const { promise, resolve } = Promise.withResolvers<undefined>();
    this.stopping.signal.addEventListener("abort", () => resolve(undefined), { once: true });
    this.stopped = promise;
  }

  start(): void {
    this.running = this.run();
  }

  /** A mail was put in just now. */
  wake(): void {
    this.nap.abort();
  }

  /** At once: a mail that is on its way is given back by its lease, and may be sent twice. */
  async stop(): Promise<void> {
    this.stopping.abort();
    await this.running;
  }

  private async run(): Promise<void> {
    while (!this.stopping.signal.aborted) {
      this.nap = new AbortController();
      try {
        const count = await this.sendDue();
        if (count < batchMax) await this.pause(pollMs);
      } catch (error) {
        this.options.logger.warn("mail queue cannot be read", { error });
        await this.pause(failureMs);
      }
    }
  }

  private async pause(ms: number): Promise<void> {
    await delay(ms, undefined, { signal: AbortSignal.any([this.nap.signal, this.stopping.signal]) }).catch(
      () => undefined,
    );
  }

  private async sendDue(): Promise<number> {
    const { store, clock, logger } = this.options;
    const given = await store.expire(clock.now());
    if (given > 0) logger.error("mails given up", { count: given });
    const mails = await store.lease(batchMax, clock.now());
    for (const mail of mails) {
      if (this.stopping.signal.aborted) break;
      await this.sendOne(mail);
    }
    return mails.length;
  }

  private async sendOne(waiting: WaitingMail): Promise<void> {
    const { store, transport, prepare, clock, logger } = this.options;
    try {
      const mail = await prepare(waiting);
      if (mail) await Promise.race([transport.send(mail), this.stopped]);
      if (this.stopping.signal.aborted) return;
      await store.sent(waiting.id);
    } catch (error) {
      const reason = error instanceof Error ? error.name : "unknown";
      logger.warn("mail not sent", { kind: waiting.kind, attempt: waiting.attempts, reason });
      await store.failed(waiting.id, waiting.attempts, clock.now());
    }
  }
}
