import { AppError } from "@codex/kernel";
import { Cancellation, type Cancelled } from "../../upstream/cancellation.ts";
import type { GatewayParts, V1Context } from "./context.ts";

/** How long a client may take to read what is left, when its key was revoked; then the connection is cut (SEC-37: 5 s in all). */
const lastWordsMs = 2_000;

/**
 * How long one call of an upstream may go on: until the client leaves, or its key is revoked. The call is aborted then, also while
 * nothing comes from the upstream.
 */
export class RequestLife {
  private readonly stop = new Cancellation();
  private readonly unheed: () => void;
  private readonly context: V1Context;
  private readonly forget: () => void;
  private cutting: NodeJS.Timeout | undefined;

  constructor({ keys }: Pick<GatewayParts, "keys">, context: V1Context) {
    this.context = context;
    this.unheed = context.clientGone.onAbort(() => this.stop.abort(context.clientGone.reason));
    this.forget = keys.onRevoked(context.keyHash(), () => this.revoked());
  }

  get signal(): Cancelled {
    return this.stop;
  }

  /** Throws when the key was revoked meanwhile. */
  check(): void {
    const { reason } = this.stop;
    if (reason instanceof AppError) throw reason;
  }

  end(): void {
    this.forget();
    this.unheed();
    clearTimeout(this.cutting);
  }

  private revoked(): void {
    this.stop.abort(revokedMidway());
    // A client that does not read would keep its answer, and whoever waits for it to read, for minutes.
    this.cutting = setTimeout(() => this.context.res.destroy(), lastWordsMs);
  }
}

function revokedMidway(): AppError {
  return new AppError({
    kind: "unauthenticated",
    code: "key_revoked",
    publicMessage: "This API key was revoked while the answer was running. You are charged for what was delivered.",
  });
}
