import { execFile } from "node:child_process";
import path from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import type { ModelPrice } from "@codex/contracts";
import { idToUuid, type AccountId } from "@codex/kernel";
import { eventually } from "@codex/testkit";
import { schema } from "../src/index.ts";
import { brokenInvariants } from "./_invariants.ts";
import { accountIn, balanceOf, fund, importModel, model, startWorld, Worker, type World } from "./_util.ts";

let world: World;
beforeAll(async () => {
  world = await startWorld();
});
afterAll(async () => {
  expect(await brokenInvariants((text, values) => world.query(text, values))).toEqual([]);
  await world.stop();
});

/** What the gateway sold before anybody had given it a price. */
const late: ModelPrice = { ...model, model: "demo-late", displayName: "Late" };

interface Line {
  readonly event: string;
  readonly id?: string;
  readonly outcome?: string;
  readonly why?: string;
  readonly [name: string]: unknown;
}

async function replay(...args: string[]): Promise<{ code: number; lines: Line[]; stderr: string }> {
  const file = path.resolve(import.meta.dirname, "../src/replay-quarantine.ts");
  const env = { DATABASE_URL: world.database.urlFor("app", schema), NATS_URL: world.nats.url };
  try {
    const { stdout, stderr } = await promisify(execFile)(
      process.execPath,
      ["--conditions=codex:source", file, ...args],
      {
        env,
        timeout: 60_000,
      },
    );
    return { code: 0, lines: linesOf(stdout), stderr };
  } catch (error) {
    const failed = error as { code?: number; stdout?: string; stderr?: string };
    return { code: failed.code ?? -1, lines: linesOf(failed.stdout ?? ""), stderr: failed.stderr ?? "" };
  }
}

function linesOf(stdout: string): Line[] {
  return stdout
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => JSON.parse(line) as Line);
}

/** One record in quarantine as unpriced, on a lease that is still open. */
async function setAside(accountId: AccountId, partition: number) {
  await fund(world, accountId, { paid: 10_000n });
  const worker = await Worker.open(world);
  const leaseId = await worker.lease(accountId, 1_000n);
  const record = worker.usage(accountId, leaseId, { input: 3 }, { model: "demo-late" });
  await worker.send([record]);
  await worker.confirmed(partition, 1);
  const [row] = await world.query<{ id: string; reason: string }>(
    "select id, reason from quarantine where epoch = $1 and resolved_at is null",
    [worker.epoch],
  );
  expect(row?.reason).toBe("unpriced");
  return { worker, leaseId, record, id: row?.id ?? "" };
}

describe("replay-quarantine", () => {
  test("given no price yet, then the record stays; given the price was imported, then it is booked once, however often and from however many terminals", async () => {
    const accountId = accountIn(5);
    const { worker, leaseId, record, id } = await setAside(accountId, 5);
    const tooEarly = await replay("--id", id);
    expect(tooEarly.code).toBe(2);
    expect(tooEarly.lines[0]).toMatchObject({ id, outcome: "left" });
    expect((await balanceOf(world, accountId)).paidMicroTokens).toBe(10_000n);

    await importModel(world.database.urlFor("app", schema), [model, late]);
    const runs = await Promise.all([replay("--id", id), replay("--id", id)]);
    const outcomes = runs.flatMap((run) => run.lines.filter((line) => line.event === "record replayed"));
    expect(outcomes.filter((line) => line.outcome === "booked")).toEqual([
      { event: "record replayed", id, outcome: "booked", charged: "35", writtenOff: "0" },
    ]);
    expect((await replay("--reason", "unpriced")).lines.at(-1)).toMatchObject({ booked: 0 });
    await eventually(async () => (await balanceOf(world, accountId)).paidMicroTokens === 9_965n, {
      what: "the charge",
    });
    // The worker's resend meets a booked number, and the lease closes on what both sides agree.
    await worker.send([record, worker.close(accountId, leaseId, 35n)], { id: "again" });
    await worker.confirmed(5, 2);
    await eventually(async () => (await balanceOf(world, accountId)).heldMicroTokens === 0n, { what: "the lease" });
    expect((await balanceOf(world, accountId)).paidMicroTokens).toBe(9_965n);
    const receipt = await world.get(`/api/billing/usage/${record.requestId}`, await world.auth.signIn(accountId));
    expect(receipt.body).toMatchObject({ charged: "0.000035", usage: { model: "demo-late" } });
  }, 200_000);

  test("given its lease was closed meanwhile, when it is replayed, then the operator bears it and it is said", async () => {
    const accountId = accountIn(6);
    await importModel(world.database.urlFor("app", schema), [model]);
    const { worker, leaseId, id } = await setAside(accountId, 6);
    await worker.send([worker.close(accountId, leaseId, 35n)]);
    await worker.confirmed(6, 2);
    await importModel(world.database.urlFor("app", schema), [model, late]);
    const run = await replay("--reason", "unpriced");
    expect(run.lines.find((line) => line.id === id)).toMatchObject({
      outcome: "booked",
      charged: "0",
      writtenOff: "35",
    });
    expect(run.lines.at(-1)).toMatchObject({ event: "quarantine replayed", writtenOff: 1, left: 0 });
    expect(run.code).toBe(0);
    expect(await balanceOf(world, accountId)).toMatchObject({ paidMicroTokens: 10_000n, heldMicroTokens: 0n });
    const rows = await world.query("select cost, charged from usage_line where account_id = $1", [idToUuid(accountId)]);
    expect(rows).toEqual([{ cost: "35", charged: "0" }]);
  }, 200_000);

  test.each([
    ["nothing", []],
    ["an id that is none", ["--id", "x"]],
    ["a reason that is none", ["--reason", "bored"]],
    ["both", ["--id", "1", "--reason", "unpriced"]],
  ])("given %s, when it is started, then it says how", async (_name, args) => {
    const run = await replay(...args);
    expect(run).toMatchObject({ code: 64, stderr: expect.stringContaining("usage: replay-quarantine") });
  });
});
