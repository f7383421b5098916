import { setTimeout as delay } from "node:timers/promises";
import { Pool } from "undici";
import { models } from "../../bench-gateway/src/answers.ts";
import type { Gateway } from "./system.ts";

/** What one gateway said to requests with one key. */
export interface Said {
  /** When the last 200 came; undefined: there was none. */
  lastServedMs: number | undefined;
  /** Refusals since the last 200. */
  refusedInARow: number;
  served: number;
  /** By status, or by what the client said when there was none. */
  readonly refusals: Record<string, number>;
}

/** Paid requests with one key at an even rate, one gateway after the other, whatever becomes of those before. */
export class KeyLoad {
  readonly said: readonly Said[];
  private readonly pools: readonly Pool[];
  private readonly key: string;
  private readonly everyMs: number;
  private running = true;
  private readonly loop: Promise<void>;
  private readonly open = new Set<Promise<void>>();

  constructor(pools: readonly Pool[], key: string, perSecond: number) {
    this.pools = pools;
    this.key = key;
    this.everyMs = 1_000 / perSecond;
    this.said = pools.map(() => ({ lastServedMs: undefined, refusedInARow: 0, served: 0, refusals: {} }));
    this.loop = this.run();
  }

  async stop(): Promise<void> {
    this.running = false;
    await this.loop;
    await Promise.all(this.open);
  }

  private async run(): Promise<void> {
    const fromMs = performance.now();
    for (let sent = 0; this.running;) {
      const due = Math.floor((performance.now() - fromMs) / this.everyMs);
      for (; sent < due; sent += 1) {
        const one = this.send(sent % this.pools.length).finally(() => this.open.delete(one));
        this.open.add(one);
      }
      await delay(1);
    }
  }

  private async send(worker: number): Promise<void> {
    const status = await ask(this.pools[worker], this.key, false).then(
      async ({ statusCode, body }) => {
        await body.dump();
        return statusCode;
      },
      (error: unknown) => (error instanceof Error && "code" in error ? String(error.code) : "no answer"),
    );
    const said = this.said[worker];
    if (!said) return;
    if (status === 200) {
      said.lastServedMs = performance.now();
      said.refusedInARow = 0;
      said.served += 1;
    } else {
      said.refusedInARow += 1;
      said.refusals[status] = (said.refusals[status] ?? 0) + 1;
    }
  }
}

export function poolsOf(gateways: readonly Gateway[]): readonly Pool[] {
  return gateways.map(({ url }) => new Pool(url, { connections: 64 }));
}

/** How long after `fromMs` a stream with this key ends, however it ends. */
export async function streamEndsAfter(
  pool: Pool,
  key: string,
  begun: () => void,
  fromMs: () => number,
): Promise<number> {
  const { body } = await ask(pool, key, true);
  let isBegun = false;
  try {
    for await (const piece of body) {
      if (!isBegun && String(piece).includes("data:")) begun();
      isBegun ||= String(piece).includes("data:");
    }
  } catch {
    // A connection that is cut is an end as well.
  }
  return performance.now() - fromMs();
}

function ask(pool: Pool | undefined, key: string, stream: boolean) {
  if (!pool) throw new Error("no such gateway");
  const model = stream ? models.slow : models.fast;
  return pool.request({
    method: "POST",
    path: "/v1/chat/completions",
    headers: { authorization: `Bearer ${key}`, "content-type": "application/json" },
    body: JSON.stringify({ model, stream, max_tokens: 128, messages: [{ role: "user", content: "hi" }] }),
    headersTimeout: 20_000,
    bodyTimeout: 20_000,
  });
}
