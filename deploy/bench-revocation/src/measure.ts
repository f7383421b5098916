import { setTimeout as delay } from "node:timers/promises";
import { KeyLoad, streamEndsAfter, type Said } from "./load.ts";
import type { IssuedKey, System } from "./system.ts";
import type { Pool } from "undici";

/** Milliseconds from the acknowledged revocation to the last answer that was served, one a gateway; 0: none came later. */
export interface Round {
  readonly servedForMs: readonly number[];
  readonly servedBefore: number;
  readonly refusals: Readonly<Record<string, number>>;
}

export interface RoundOptions {
  readonly perSecond: number;
  readonly revoke: (key: IssuedKey) => Promise<void>;
  /** Watched for at least this long after the revocation. */
  readonly watchMs: number;
  /** Gives up on gateways that go on serving. */
  readonly watchMaxMs: number;
}

const warmMs = 500;
/** A gateway that refused so many in a row has learnt of it. */
const sureAfter = 5;

export async function round(system: System, pools: readonly Pool[], options: RoundOptions): Promise<Round> {
  const key = await system.issue();
  const load = new KeyLoad(pools, key.secret, options.perSecond);
  try {
    await untilAllServe(load.said);
    await delay(warmMs);
    const servedBefore = load.said.reduce((sum, { served }) => sum + served, 0);
    await options.revoke(key);
    const revokedMs = performance.now();
    const isOver = (): boolean => load.said.every(({ refusedInARow }) => refusedInARow >= sureAfter);
    while (
      performance.now() - revokedMs < options.watchMs ||
      (!isOver() && performance.now() - revokedMs < options.watchMaxMs)
    )
      await delay(20);
    await load.stop();
    const refusals: Record<string, number> = {};
    for (const said of load.said)
      for (const [status, count] of Object.entries(said.refusals)) refusals[status] = (refusals[status] ?? 0) + count;
    return {
      servedForMs: load.said.map(({ lastServedMs }) => Math.max(0, (lastServedMs ?? 0) - revokedMs)),
      servedBefore,
      refusals,
    };
  } finally {
    await load.stop();
  }
}

/** So many streams with one key at each gateway: how long each goes on after the revocation. */
export async function streams(system: System, pools: readonly Pool[], each: number): Promise<readonly number[]> {
  const key = await system.issue();
  let begun = 0;
  let revokedMs = Number.NaN;
  const running = pools.flatMap((pool) =>
    Array.from({ length: each }, () =>
      streamEndsAfter(
        pool,
        key.secret,
        () => void (begun += 1),
        () => revokedMs,
      ),
    ),
  );
  while (begun < running.length) await delay(20);
  await system.revoke(key);
  revokedMs = performance.now();
  return Promise.all(running);
}

async function untilAllServe(said: readonly Said[]): Promise<void> {
  const untilMs = performance.now() + 20_000;
  while (said.some(({ served }) => served === 0)) {
    if (performance.now() > untilMs) throw new Error("a gateway does not serve the new key");
    await delay(10);
  }
}
