import { AppError } from "@codex/kernel";
import type { GatewayParts, V1Context } from "./context.ts";

/** How long a client may take to read what is left, when its key was revoked; then the connection is cut (SEC-37: 5 s in all). */
const lastWordsMs = 2_000;

/**
 * How long one call of an upstream may go on: until the client leaves, or its key is revoked. The call is aborted then, also while
 * nothing comes from the upstream.
 */
export class RequestLife {
  private readonly stop = new AbortController();
  private readonly context: V1Context;
  private readonly forget: () => void;
  private cutting: NodeJS.Timeout | undefined;

  constructor({ keys }: Pick<GatewayParts, "keys">, context: V1Context) {
    this.context = context;
    if (context.clientGone.aborted) this.left();
    else context.clientGone.addEventListener("abort", this.left);
    this.forget = keys.onRevoked(context.keyHash(), () => this.revoked());
  }

  get signal(): AbortSignal {
    return this.stop.signal;
  }

  /** Throws when the key was revoked meanwhile. */
  check(): void {
    const reason: unknown = this.stop.signal.reason;
    if (reason instanceof AppError) throw reason;
  }

  end(): void {
    this.forget();
    this.context.clientGone.removeEventListener("abort", this.left);
    clearTimeout(this.cutting);
  }

  private readonly left = (): void => this.stop.abort(this.context.clientGone.reason);

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
