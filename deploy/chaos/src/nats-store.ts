import { cpSync, globSync, readdirSync, rmSync, statSync, truncateSync } from "node:fs";
import path from "node:path";
import { natsStoreDir, type Server } from "./servers.ts";

/**
 * What a power cut does to NATS: it comes back without what it had acknowledged and not brought to the disk. Three forms,
 * because servers differ in what they make of each: the whole store of a moment ago, the newest blocks of the usage stream
 * gone, the newest block torn in the middle.
 */
export const tailLosses = ["older copy", "newest blocks deleted", "newest block torn"] as const;
export type TailLoss = (typeof tailLosses)[number];

/** A copy of the store as it is after a kill. The server must not run. */
export function copyStore(dataDir: string): string {
  const aside = path.join(dataDir, "nats-older-copy");
  rmSync(aside, { recursive: true, force: true });
  cpSync(natsStoreDir(dataDir), aside, { recursive: true });
  return aside;
}

/** Says what was thrown away. The server must not run. */
export function loseTail(dataDir: string, how: TailLoss, aside: string): string {
  const store = natsStoreDir(dataDir);
  if (how === "older copy") {
    rmSync(store, { recursive: true, force: true });
    cpSync(aside, store, { recursive: true });
    return "the store of a moment ago";
  }
  const [newest] = globSync(path.join(store, "**/streams/USAGE/msgs/*.blk")).sort(
    (left, right) => blockNumber(right) - blockNumber(left),
  );
  if (newest === undefined) return "there was no block";
  const { size } = statSync(newest);
  if (how === "newest block torn") {
    truncateSync(newest, Math.floor(size * 0.6));
    return `${path.basename(newest)} torn at ${String(Math.floor(size * 0.6))} of ${String(size)} bytes`;
  }
  const base = newest.slice(0, -".blk".length);
  for (const name of readdirSync(path.dirname(newest))) {
    const file = path.join(path.dirname(newest), name);
    if (file.startsWith(`${base}.`)) rmSync(file);
  }
  return `${path.basename(newest)} (${String(size)} bytes) deleted`;
}

function blockNumber(file: string): number {
  return Number.parseInt(path.basename(file), 10);
}

/** Kills it, lets `between` happen while it is down, starts it again. */
export async function restartWith(server: Server, between: () => void): Promise<void> {
  await server.kill();
  between();
  await server.start();
}
