import { expect, test } from "@jest/globals";
import { spawn } from "node:child_process";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import path from "node:path";
import { eventually } from "@codex/testkit";
import { processIdentity } from "../../../libs/testkit/src/process-identity.ts";
import { lockOwner, releaseLock, takeLock } from "../lock.ts";
import { ProcessRecords, stopLeftovers } from "../owned-processes.ts";
import { pathsOf } from "../paths.ts";
import { temporaryFolder } from "./_dummy.ts";

test("given a free lock, then it is taken once, names us, and is free again after its release", () => {
  using folder = temporaryFolder();
  const file = path.join(folder.path, "deep/lock");
  expect(takeLock(file)).toEqual({ taken: true, stale: false });
  expect(lockOwner(file)?.pid).toBe(process.pid);
  expect(takeLock(file)).toEqual({ taken: false, stale: false });
  releaseLock(file);
  expect(existsSync(file)).toBe(false);
});

test("given a lock whose number now belongs to another program, then it counts as dead and is taken over", () => {
  using folder = temporaryFolder();
  const file = path.join(folder.path, "lock");
  writeFileSync(file, JSON.stringify({ pid: process.pid, identity: "another start time" }));
  expect(lockOwner(file)).toBeUndefined();
  expect(takeLock(file)).toEqual({ taken: true, stale: true });
});

test("given a damaged lock, then it is taken over", () => {
  using folder = temporaryFolder();
  const file = path.join(folder.path, "lock");
  writeFileSync(file, "{");
  expect(takeLock(file)).toEqual({ taken: true, stale: true });
});

test("given somebody else's lock, then a release leaves it alone", () => {
  using folder = temporaryFolder();
  const file = path.join(folder.path, "lock");
  const other = JSON.stringify({ pid: process.ppid, identity: processIdentity(process.ppid) });
  writeFileSync(file, other);
  releaseLock(file);
  expect(readFileSync(file, "utf8")).toBe(other);
});

test("given processes that a dead supervisor left, then they are stopped, last first, and only by number and start time", async () => {
  using folder = temporaryFolder();
  const paths = pathsOf(folder.path);
  const sleepers = ["first", "second", "stranger"].map((name) => ({
    name,
    child: spawn("sleep", ["600"], { stdio: "ignore" }),
  }));
  const [first, second, stranger] = sleepers.map(({ child }) => child.pid ?? 0);
  await eventually(() => sleepers.every(({ child }) => processIdentity(child.pid ?? 0) !== undefined), {
    what: "the sleepers",
  });
  const records = new ProcessRecords(paths.processes);
  records.add("first", first ?? 0);
  records.add("second", second ?? 0);
  const written = JSON.parse(readFileSync(paths.processes, "utf8")) as object[];
  writeFileSync(
    paths.processes,
    JSON.stringify([...written, { name: "stranger", pid: stranger, identity: "another start time" }]),
  );
  writeFileSync(paths.runFile, "{}");
  expect(await stopLeftovers(paths)).toEqual(["second", "first"]);
  expect(existsSync(paths.processes) || existsSync(paths.runFile)).toBe(false);
  expect(processIdentity(stranger ?? 0)).toBeDefined();
  sleepers[2]?.child.kill("SIGKILL");
});
