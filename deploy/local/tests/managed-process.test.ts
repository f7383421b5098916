import { expect, test } from "@jest/globals";
import { eventually, freePort } from "@codex/testkit";
import { processIdentity } from "../../../libs/testkit/src/process-identity.ts";
import { readFileSync, writeFileSync } from "node:fs";
import path from "node:path";
import { ManagedProcess } from "../managed-process.ts";
import { Problem } from "../problem.ts";
import { Diary, dummyProgram, dummySpec, servingBody, temporaryFolder } from "./_dummy.ts";

test("given a program that gets ready, then start resolves, its output is in the log, and stop ends it softly", async () => {
  using folder = temporaryFolder();
  const diary = new Diary();
  const spec = dummySpec(folder.path, dummyProgram(folder.path, servingBody), await freePort());
  const managed = new ManagedProcess(spec, diary.deps);
  await managed.start();
  const { pid } = managed.state();
  expect(managed.state().phase).toBe("ready");
  expect([...diary.recorded.values()]).toEqual(["dummy"]);
  expect([...diary.watched]).toEqual([pid]);
  await managed.stop();
  expect(processIdentity(pid ?? 0)).toBeUndefined();
  expect(readFileSync(spec.logFile, "utf8")).toBe("listening\nbye\n");
  expect(diary.phases).toEqual(["starting", "ready", "stopped"]);
  expect(diary.crashes).toEqual([]);
  expect([diary.recorded.size, diary.watched.size]).toEqual([0, 0]);
});

test("given a program that dies after it was ready, then it is started again with growing pauses, and counted", async () => {
  using folder = temporaryFolder();
  const diary = new Diary();
  const port = await freePort();
  const managed = new ManagedProcess(dummySpec(folder.path, dummyProgram(folder.path, servingBody), port), diary.deps);
  await managed.start();
  for (const round of [1, 2, 3]) {
    const before = managed.state().pid;
    await fetch(`http://127.0.0.1:${String(port)}/crash`).catch(() => undefined);
    await eventually(() => managed.state().phase === "ready" && managed.state().pid !== before, {
      what: `restart ${String(round)}`,
    });
    expect(managed.state().restarts).toBe(round);
  }
  expect(diary.crashes).toEqual([10, 20, 40]);
  expect(managed.state().lastExit).toBe("exit code 7");
  await managed.stop();
});

test("given a process that proved itself, when it dies, then the pauses begin anew", async () => {
  using folder = temporaryFolder();
  const diary = new Diary();
  const port = await freePort();
  const spec = dummySpec(folder.path, dummyProgram(folder.path, servingBody), port, { provenMs: 0 });
  const managed = new ManagedProcess(spec, diary.deps);
  await managed.start();
  for (const round of [1, 2]) {
    await fetch(`http://127.0.0.1:${String(port)}/crash`).catch(() => undefined);
    await eventually(() => managed.state().restarts === round && managed.state().phase === "ready", {
      what: "restart",
    });
  }
  expect(diary.crashes).toEqual([10, 10]);
  await managed.stop();
});

test("given a program that fails before it is ready, then start fails with its last lines and nothing is started again", async () => {
  using folder = temporaryFolder();
  const diary = new Diary();
  writeFileSync(path.join(folder.path, "dummy.log"), "a line of an earlier run\n");
  const body = `for (let i = 1; i <= 12; i += 1) console.error("line " + i); process.exit(78);`;
  const managed = new ManagedProcess(
    dummySpec(folder.path, dummyProgram(folder.path, body), await freePort()),
    diary.deps,
  );
  const failure = await managed.start().catch((error: unknown) => error);
  expect(failure).toBeInstanceOf(Problem);
  expect((failure as Problem).message).toContain("dummy did not start: it ended with exit code 78");
  expect((failure as Problem).lines).toHaveLength(12);
  expect((failure as Problem).lines.at(-1)).toBe("line 12");
  expect(diary.crashes).toEqual([]);
  expect(managed.state().phase).toBe("stopped");
});

test("given a program that never gets ready, then start fails at the deadline and the program is gone", async () => {
  using folder = temporaryFolder();
  const diary = new Diary();
  const body = `setInterval(() => undefined, 1000);`;
  const spec = dummySpec(folder.path, dummyProgram(folder.path, body), await freePort(), { readyTimeoutMs: 300 });
  const managed = new ManagedProcess(spec, diary.deps);
  await expect(managed.start()).rejects.toThrow("was not ready within");
  expect(diary.recorded.size).toBe(0);
});

test("given a program that ignores SIGTERM, then stop kills it at the deadline", async () => {
  using folder = temporaryFolder();
  const diary = new Diary();
  const body = servingBody.replace(/process\.on\("SIGTERM".*/, `process.on("SIGTERM", () => undefined);`);
  const spec = dummySpec(folder.path, dummyProgram(folder.path, body), await freePort(), { stopTimeoutMs: 200 });
  const managed = new ManagedProcess(spec, diary.deps);
  await managed.start();
  const pid = managed.state().pid ?? 0;
  await managed.stop();
  expect(processIdentity(pid)).toBeUndefined();
});

test("given a stop while it waits to start a program again, then it is not started", async () => {
  using folder = temporaryFolder();
  const diary = new Diary();
  const port = await freePort();
  const spec = dummySpec(folder.path, dummyProgram(folder.path, servingBody), port, { backOffMs: [60_000] });
  const managed = new ManagedProcess(spec, diary.deps);
  await managed.start();
  await fetch(`http://127.0.0.1:${String(port)}/crash`).catch(() => undefined);
  await eventually(() => managed.state().phase === "waiting", { what: "the pause" });
  await managed.stop();
  expect(managed.state()).toMatchObject({ phase: "stopped", restarts: 0 });
});

test("given a program that does not exist, then start says so", async () => {
  using folder = temporaryFolder();
  const spec = dummySpec(folder.path, "none", await freePort(), { command: "/no/such/program" });
  await expect(new ManagedProcess(spec, new Diary().deps).start()).rejects.toThrow("ENOENT");
});
