import { chmodSync, mkdirSync, mkdtempSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { infraDataFolders, removeInfraData } from "../../../libs/testkit/src/data-folder.ts";
import { startWatchdog } from "../../../libs/testkit/src/watchdog.ts";
import { poolsOf } from "./load.ts";
import { round, streams, type Round } from "./measure.ts";
import { distribution, type Distribution } from "./distribution.ts";
import { startSystem, type System } from "./system.ts";
import type { Pool } from "undici";

/**
 * `npm run bench:revocation`: how long a revoked key is served on, by five gateway processes at 200 paid requests a second with the
 * key (SEC-35, SEC-37). Exit code 1 when a bound is broken: p99 of 1 s when all is well, 5 s at most whatever happens.
 */

const workers = 5;
const perSecond = 200;
const wellRounds = 20;
const lostRounds = 3;
const cutRounds = 2;
const redisRounds = 5;
const streamsEach = 10;

const outcome = { isBroken: false };
const say = (line: string): void => void process.stdout.write(`${line}\n`);

function report(
  name: string,
  values: readonly number[],
  bounds: { readonly p99?: number; readonly max: number },
): Distribution {
  const found = distribution(values);
  const { count, p50, p90, p99, max } = found;
  const broken = found.max > bounds.max || (bounds.p99 !== undefined && found.p99 > bounds.p99);
  outcome.isBroken ||= broken;
  const bound = `${bounds.p99 === undefined ? "" : `p99 ≤ ${String(bounds.p99)}, `}max ≤ ${String(bounds.max)}`;
  const figures = [p50, p90, p99, max].map((value) => value.toFixed(1).padStart(9)).join("");
  say(`${name.padEnd(58)}${String(count).padStart(6)}${figures}   ${broken ? "BROKEN" : "holds"}: ${bound}`);
  return found;
}

const flat = (rounds: readonly Round[]): readonly number[] => rounds.flatMap(({ servedForMs }) => servedForMs);

function refusalsOf(rounds: readonly Round[]): string {
  const sums: Record<string, number> = {};
  for (const { refusals } of rounds)
    for (const [status, count] of Object.entries(refusals)) sums[status] = (sums[status] ?? 0) + count;
  return Object.entries(sums)
    .map(([status, count]) => `${status}: ${String(count)}`)
    .join(", ");
}

async function repeat(times: number, one: () => Promise<Round>): Promise<readonly Round[]> {
  const rounds: Round[] = [];
  while (rounds.length < times) rounds.push(await one());
  return rounds;
}

async function measure(system: System, pools: readonly Pool[]): Promise<void> {
  const load = (os.loadavg()[0] ?? 0).toFixed(1);
  say(`${String(workers)} gateways, ${String(perSecond)} requests a second with the key, load of the machine ${load}`);
  say(
    `\n${"milliseconds from the acknowledged revocation".padEnd(58)}${"n".padStart(6)}${["p50", "p90", "p99", "max"].map((name) => name.padStart(9)).join("")}`,
  );
  const well = await repeat(wellRounds, () =>
    round(system, pools, { perSecond, revoke: (key) => system.revoke(key), watchMs: 400, watchMaxMs: 8_000 }),
  );
  report("last answer served, by gateway", flat(well), { p99: 1_000, max: 5_000 });
  report(
    "last answer served, by any gateway",
    well.map(({ servedForMs }) => Math.max(...servedForMs)),
    { p99: 1_000, max: 5_000 },
  );
  report("end of a running stream", await streams(system, pools, streamsEach), { max: 5_000 });
  const lost = await repeat(lostRounds, () =>
    round(system, pools, { perSecond, revoke: (key) => system.revokeInSilence(key), watchMs: 400, watchMaxMs: 8_000 }),
  );
  report("no event, no tombstone: last answer served, by gateway", flat(lost), { max: 5_000 });
  const failed = await repeat(redisRounds, () => redisRound(system, pools));
  report("Redis killed under the load: last answer served, by gateway", flat(failed), { p99: 1_000, max: 5_000 });
  const cut = await repeat(cutRounds, () => cutRound(system, pools));
  report("NATS cut from the gateways: last answer served, by gateway", flat(cut), { max: 5_000 });
  say(
    `\nrefused afterwards: all well ${refusalsOf(well)}; lost ${refusalsOf(lost)}; Redis killed ${refusalsOf(failed)}; cut ${refusalsOf(cut)}`,
  );
  say(
    `served before: ${String([...well, ...lost, ...failed, ...cut].reduce((sum, { servedBefore }) => sum + servedBefore, 0))}`,
  );
}

/** As a failover looks like to a gateway: the server that it knows is gone from one moment to the next. */
async function redisRound(system: System, pools: readonly Pool[]): Promise<Round> {
  try {
    return await round(system, pools, {
      perSecond,
      revoke: async (key) => {
        await system.redis.kill();
        await system.revoke(key);
      },
      watchMs: 400,
      watchMaxMs: 8_000,
    });
  } finally {
    await system.redis.start();
  }
}

async function cutRound(system: System, pools: readonly Pool[]): Promise<Round> {
  try {
    return await round(system, pools, {
      perSecond,
      revoke: async (key) => {
        for (const { nats } of system.gateways) nats.set({ kind: "cut" });
        await system.revoke(key);
      },
      watchMs: 6_000,
      watchMaxMs: 9_000,
    });
  } finally {
    for (const { nats } of system.gateways) nats.set({ kind: "pass" });
    // The gateways find the way back before the next round; each round waits until all serve its key in any case.
    await delay(1_000);
  }
}

async function run(): Promise<void> {
  const dataDir = mkdtempSync(path.join(os.tmpdir(), "codex-bench-revocation-"));
  // mkdtemp makes it 0700; started by root, Postgres runs as another user, which must be able to pass through.
  chmodSync(dataDir, 0o711);
  mkdirSync(path.join(dataDir, "logs"), { mode: 0o700 });
  const watchdog = startWatchdog(infraDataFolders(dataDir));
  try {
    const system = await startSystem(dataDir, watchdog, workers);
    const pools = poolsOf(system.gateways);
    try {
      await measure(system, pools);
    } finally {
      await Promise.all(pools.map((pool) => pool.destroy()));
      await system.stop();
    }
  } finally {
    watchdog.release();
    removeInfraData(dataDir);
  }
}

await run();
if (outcome.isBroken) process.exitCode = 1;
