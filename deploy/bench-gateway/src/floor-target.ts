import { freePort } from "@codex/testkit";
import path from "node:path";
import { startChild } from "./child.ts";
import type { BenchPlace } from "./place.ts";
import { targetOf, type Target } from "./target.ts";

export async function startFloor(place: BenchPlace, workers: number): Promise<Target> {
  const children = [];
  for (let worker = 1; worker <= workers; worker += 1) {
    const port = await freePort();
    const url = `http://127.0.0.1:${String(port)}`;
    const upstream = `http://127.0.0.1:${String(place.upstreamPort)}`;
    const child = await startChild(
      {
        name: "floor",
        command: process.execPath,
        args: ["--no-warnings", path.join(import.meta.dirname, "floor.ts"), String(port), upstream],
        env: { NODE_ENV: "production" },
        logFile: path.join(place.dataDir, "logs/floor.log"),
        readyUrl: url,
      },
      place.watchdog,
    );
    children.push({ child, url });
  }
  return targetOf("floor", children);
}
