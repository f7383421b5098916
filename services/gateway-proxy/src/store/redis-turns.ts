import { Command, Redis, type Cluster } from "ioredis";

/**
 * Commands of one turn of the event loop, in one write and with one timer for all of them. ioredis can do both by itself
 * (`enableAutoPipelining`, `commandTimeout`): with a promise, a pipeline and
 * two timers more for each command, which stood out in the profile of a request.
 */

/** Of the gateway: what Redis does not say in this time is counted without it. */
export const redisAnswerMsMax = 50;

/** What nobody waits for goes with the next turn, and alone after this: a write and an answer of its own wake two processes. */
const soonMs = 5;

interface Waiting {
  readonly command: Command;
  readonly resolve: (answer: unknown) => void;
  readonly reject: (error: unknown) => void;
}

export class RedisTurns {
  private readonly redis: Redis | Cluster;
  private readonly answerMsMax: number;
  private waiting: Waiting[] = [];
  private due: NodeJS.Immediate | undefined;
  private soon: NodeJS.Timeout | undefined;

  /** `answerMsMax`: from the write to the answer. */
  constructor(redis: Redis | Cluster, answerMsMax: number) {
    this.redis = redis;
    this.answerMsMax = answerMsMax;
  }

  /** Rejects with the server's refusal, without a connection, and when no answer comes in time; it may then have been carried out. */
  send(name: string, args: readonly (string | number)[]): Promise<unknown> {
    this.due ??= setImmediate(() => this.write());
    return this.wait(name, args);
  }

  /** The same, after at most {@link soonMs} and before whatever is sent later. */
  sendSoon(name: string, args: readonly (string | number)[]): Promise<unknown> {
    if (!this.due) this.soon ??= setTimeout(() => this.write(), soonMs);
    return this.wait(name, args);
  }

  private wait(name: string, args: readonly (string | number)[]): Promise<unknown> {
    return new Promise((resolve, reject) => {
      const command = new Command(name, args.map(String), { replyEncoding: "utf8" });
      this.waiting.push({ command, resolve, reject });
    });
  }

  private write(): void {
    const turn = this.waiting;
    this.waiting = [];
    this.due = undefined;
    clearTimeout(this.soon);
    this.soon = undefined;
    let open = turn.length;
    const timer = setTimeout(() => {
      for (const { reject } of turn) reject(new Error("Redis did not answer in time"));
    }, this.answerMsMax);
    const settled = (tell: () => void): void => {
      tell();
      open -= 1;
      if (open === 0) clearTimeout(timer);
    };
    // A cluster has a connection for each node, and several nodes for one turn.
    const stream = this.redis instanceof Redis ? (this.redis.stream as Redis["stream"] | undefined) : undefined;
    stream?.cork();
    for (const { command, resolve, reject } of turn) {
      this.redis.sendCommand(command);
      command.promise.then(
        (answer: unknown) => settled(() => resolve(answer)),
        (error: unknown) => settled(() => reject(error)),
      );
    }
    stream?.uncork();
  }
}
