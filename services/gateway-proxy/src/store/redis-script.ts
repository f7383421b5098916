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
  run(turns: RedisTurns, keys: readonly string[], values: readonly (string | number)[]): Promise<unknown> {
    return this.orInFull(turns, turns.send("evalsha", this.argumentsOf(this.hash, keys, values)), keys, values);
  }

  /** For what nobody waits for: {@link RedisTurns.sendSoon}. */
  runSoon(turns: RedisTurns, keys: readonly string[], values: readonly (string | number)[]): Promise<unknown> {
    return this.orInFull(turns, turns.sendSoon("evalsha", this.argumentsOf(this.hash, keys, values)), keys, values);
  }

  private async orInFull(
    turns: RedisTurns,
    answer: Promise<unknown>,
    keys: readonly string[],
    values: readonly (string | number)[],
  ): Promise<unknown> {
    try {
      return await answer;
    } catch (error) {
      if (!(error instanceof Error) || !error.message.startsWith("NOSCRIPT")) throw error;
      return turns.send("eval", this.argumentsOf(this.source, keys, values));
    }
  }

  private argumentsOf(
    script: string,
    keys: readonly string[],
    values: readonly (string | number)[],
  ): readonly (string | number)[] {
    return [script, keys.length, ...keys, ...values];
  }
}
