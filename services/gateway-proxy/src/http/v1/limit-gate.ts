import type { Clock, RequestId } from "@codex/kernel";
import type { ServerResponse } from "node:http";
import { limitExceeded } from "../../app/limit-errors.ts";
import type { RequestLimiter, Taken } from "../../app/request-limiter.ts";
import type { Dialect } from "../../domain/endpoint.ts";
import type { LimitAnswer, Limited } from "../../domain/limits.ts";
import { limitHeaders } from "./limit-headers.ts";

/** The limits as one request meets them: asked once, told in the headers of whatever answer it gets, ended once. */
export interface GateInit {
  readonly limiter: RequestLimiter;
  readonly limited: Limited;
  readonly requestId: RequestId;
  readonly dialect: Dialect;
  readonly res: ServerResponse;
  readonly clock: Clock;
}

export class LimitGate {
  private readonly init: GateInit;
  private taking: Promise<Taken> | undefined;
  /** Model tokens that the request turned out to use. */
  usedTokens = 0;

  constructor(init: GateInit) {
    this.init = init;
  }

  get limits(): Limited["limits"] {
    return this.init.limited.limits;
  }

  /** Whether the limits have been asked. */
  get asked(): boolean {
    return this.taking !== undefined;
  }

  /** Throws AppError 429 without asking anybody, when that answer is known. */
  refuseKnown(): void {
    const { limiter, limited } = this.init;
    const answer = limiter.known(limited);
    if (!answer) return;
    this.taking = Promise.resolve({ answer, of: limited, end: () => undefined });
    this.tell(limited, answer);
  }

  /** Throws AppError 429. To be called once. */
  async take(tokens: number, slot: boolean): Promise<void> {
    const { limiter, limited, requestId } = this.init;
    this.taking = limiter.take(limited, { requestId, tokens, slot });
    const { of, answer } = await this.taking;
    this.tell(of, answer);
  }

  /** Gives back what is not used, whatever became of the request. Idempotent, never rejects. */
  async end(): Promise<void> {
    const taken = await this.taking;
    taken?.end(this.usedTokens);
  }

  private tell(of: Limited, answer: LimitAnswer): void {
    const { dialect, res, clock } = this.init;
    if (!res.headersSent)
      for (const [name, value] of limitHeaders(dialect, of, answer, clock.now())) res.setHeader(name, value);
    if (answer.refusal) throw limitExceeded(of, answer.refusal);
  }
}
