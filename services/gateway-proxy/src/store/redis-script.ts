import { createHash } from "node:crypto";
import type { RedisTurns } from "./redis-turns.ts";

/** A Lua script that is sent by its hash, and in full only when the server does not know it: after its start, or a flush. */
export class RedisScript {
  private readonly source: string;
  private readonly hash: string;

  constructor(source: string) {
    this.source = source;
    this.hash = createHash("sha1").update(source).digest("hex");
  }

  /** On Redis Cluster all keys must be of one slot. Rejects as {@link RedisTurns.send} does. */
  async run(turns: RedisTurns, keys: readonly string[], values: readonly (string | number)[]): Promise<unknown> {
    try {
      return await turns.send("evalsha", [this.hash, keys.length, ...keys, ...values]);
    } catch (error) {
      if (!(error instanceof Error) || !error.message.startsWith("NOSCRIPT")) throw error;
      return turns.send("eval", [this.source, keys.length, ...keys, ...values]);
    }
  }
}
