import { execFile } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { modelPrice, priceBookKey, priceBookKv, type ModelPrice } from "@codex/contracts";
import { idToUuid } from "@codex/kernel";
import { eventually } from "@codex/testkit";
import { z } from "zod";
import { schema } from "../src/index.ts";
import { accountIn, balanceOf, fund, importModel, model, startWorld, Worker, type World } from "./_util.ts";

let world: World;
let folder: string;
beforeAll(async () => {
  world = await startWorld();
  folder = await mkdtemp(path.join(tmpdir(), "codex-prices-"));
});
afterAll(async () => {
  await rm(folder, { recursive: true, force: true });
  await world.stop();
});

const dearer: ModelPrice = { ...model, perRequest: 9n };

async function runProgram(
  program: string,
  args: readonly string[],
  env: Record<string, string>,
): Promise<{ code: number; stdout: string; stderr: string }> {
  const file = path.resolve(import.meta.dirname, `../src/${program}.ts`);
  try {
    const done = await promisify(execFile)(process.execPath, ["--conditions=codex:source", file, ...args], {
      env,
      timeout: 60_000,
    });
    return { code: 0, ...done };
  } catch (error) {
    const failed = error as { code?: number; stdout?: string; stderr?: string };
    return { code: failed.code ?? -1, stdout: failed.stdout ?? "", stderr: failed.stderr ?? "" };
  }
}

async function importFile(
  content: string,
  env: Record<string, string> = { DATABASE_URL: world.database.urlFor("app", schema) },
) {
  const file = path.join(folder, "prices.json");
  await writeFile(file, content);
  return runProgram("import-prices", [file], env);
}

const fileOf = (models: readonly ModelPrice[]): string =>
  JSON.stringify({ models: models.map((price) => z.encode(modelPrice, price)) });

describe("import-prices", () => {
  test("given the prices in force, when they are imported again, then the version stays; changed ones become a new version within a second", async () => {
    const same = await importFile(fileOf([model]));
    expect(JSON.parse(same.stdout)).toMatchObject({
      event: "prices imported",
      version: world.priceVersion,
      created: false,
    });
    const changed = await importFile(fileOf([dearer]), { DATABASE_OWNER_URL: world.database.urlFor("owner", schema) });
    const { version, created } = JSON.parse(changed.stdout) as { version: string; created: boolean };
    expect(created).toBe(true);
    const kv = await world.bus.kv(priceBookKv);
    await eventually(async () => (await kv.get(priceBookKey))?.value.version === version, {
      what: "the new price book in the bucket",
      timeoutMs: 1_000,
    });
    expect((await world.get("/api/billing/prices")).body).toMatchObject({
      version,
      models: [{ perRequest: "0.000009" }],
    });
  }, 90_000);

  test.each([
    ["a file that is no JSON", "{", 1],
    ["a rate that is no amount", JSON.stringify({ models: [{ ...z.encode(modelPrice, model), perRequest: 5 }] }), 1],
    ["a negative rate", fileOf([{ ...model, perRequest: -1n }]), 1],
    ["a model named twice", fileOf([model, model]), 1],
  ])(
    "given %s, when it is imported, then it is refused with a reason and nothing changes",
    async (_name, content, code) => {
      const before = await world.query("select count(*) from price_version");
      const run = await importFile(content);
      expect(run.code).toBe(code);
      expect(run.stderr.length).toBeGreaterThan(10);
      expect(await world.query("select count(*) from price_version")).toEqual(before);
    },
  );

  test("given groups and a time ahead, when they are imported, then the version waits for its time; the same again makes nothing", async () => {
    const list = { models: [z.encode(modelPrice, { ...model, perRequest: 31n })] };
    const groups = [{ group: "vip", multiplierPpm: 900_000 }];
    const at = new Date(Date.now() + 3_600_000).toISOString();
    const first = await importFile(JSON.stringify({ ...list, groups, effectiveAt: at }));
    const made = JSON.parse(first.stdout) as Record<string, unknown>;
    expect(made).toMatchObject({ created: true, effectiveAt: at });
    const rows = await world.query("select groups, created_by from price_version where effective_at = $1", [at]);
    expect(rows).toEqual([{ groups, created_by: null }]);
    const again = await importFile(JSON.stringify({ ...list, groups, effectiveAt: at }));
    expect(JSON.parse(again.stdout)).toMatchObject({ created: false, version: made["version"] });
    expect((await world.get("/api/billing/prices")).body["version"]).not.toBe(made["version"]);
  }, 90_000);

  test("given the prices of the repository's demo, when they are imported, then every kind of price is there", async () => {
    const demo = path.resolve(import.meta.dirname, "../../../deploy/local/demo-prices.json");
    const run = await runProgram("import-prices", [demo], { DATABASE_URL: world.database.urlFor("app", schema) });
    expect(run.code).toBe(0);
    const { body } = await world.get("/api/billing/prices");
    const models = body["models"] as Record<string, unknown>[];
    const of = (name: string): Record<string, unknown> => models.find((price) => price["model"] === name) ?? {};
    expect(of("demo-large")["tiers"]).toHaveLength(1);
    expect(of("demo-tools")["offPeak"]).toHaveLength(2);
    expect(of("demo-image")["perImage"]).toContainEqual({ variant: "1024x1024-high", price: "0.160000" });
    expect(of("demo-small")).toMatchObject({ cacheWrite: "625.000000", cacheWrite1h: "1000.000000" });
    expect(JSON.stringify(body)).not.toContain("partner");
    await importModel(world.database.urlFor("app", schema), [model]);
  }, 90_000);

  test("given no file or no database, when it is started, then it says what is missing", async () => {
    expect(await runProgram("import-prices", [], {})).toMatchObject({
      code: 64,
      stderr: expect.stringContaining("usage"),
    });
    expect(await importFile(fileOf([model]), {})).toMatchObject({
      code: 78,
      stderr: expect.stringContaining("DATABASE_URL"),
    });
  });
});

test("given an older price version, when usage names it, then it is booked by that version and the receipt shows it", async () => {
  const accountId = accountIn(14);
  await fund(world, accountId, { paid: 1_000n });
  const worker = await Worker.open(world);
  const leaseId = await worker.lease(accountId, 500n);
  await importModel(world.database.urlFor("app", schema), [{ ...model, perRequest: 77n }]);
  const record = worker.usage(accountId, leaseId, { input: 1 });
  await worker.send([record]);
  await worker.confirmed(14, 1);
  expect((await balanceOf(world, accountId)).paidMicroTokens).toBe(985n);
  const receipt = await world.get(`/api/billing/usage/${record.requestId}`, await world.auth.signIn(accountId));
  expect(receipt.body).toMatchObject({ priceVersion: world.priceVersion, charged: "0.000015" });
});

test("given every kind of use, terms and a group, when it is booked, then the receipt adds up to the charge", async () => {
  const groups = [{ group: "vip", multiplierPpm: 900_000 }];
  const rich: ModelPrice = {
    ...model,
    perImage: [{ variant: "large", microTokens: 400n }],
    perAudioSecond: 100n,
    tiers: [{ aboveInputTokens: 10, rates: { ...model.rates, input: 20_000_000n, cacheWrite1h: 40_000_000n } }],
    offPeak: [{ days: ["mon"], fromUtc: "09:00", toUtc: "11:00", multiplierPpm: 500_000 }],
  };
  const version = await importModel(world.database.urlFor("app", schema), [rich], { groups });
  const accountId = accountIn(13);
  await fund(world, accountId, { paid: 10_000n });
  const worker = await Worker.open({ bus: world.bus, priceVersion: version });
  const leaseId = await worker.lease(accountId, 5_000n);
  // (10 × 20 + 1 × 40 + 3 × 20 + 2 × 400 + 1.5 × 100 + 5) × 0.5 × 0.9 = 564.75
  const record = worker.usage(
    accountId,
    leaseId,
    { input: 10, cacheWrite1h: 1, reasoning: 3 },
    {
      images: { count: 2, variant: "large" },
      audioMs: 1_500,
      priceGroup: "vip",
      holdMicroTokens: 5_000n,
      costMicroTokens: 565n,
    },
  );
  await worker.send([record]);
  await worker.confirmed(13, 1);
  const cookie = await world.auth.signIn(accountId);
  const { body } = await world.get(`/api/billing/usage/${record.requestId}`, cookie);
  expect(body).toMatchObject({
    charged: "0.000565",
    computed: "0.000565",
    exact: "0.000564750000000000000000",
    terms: { tierAboveInputTokens: 10, offPeakPpm: 500_000, priceGroup: "vip", groupPpm: 900_000 },
    usage: { tokens: { cacheWrite1h: 1 }, images: { count: 2, variant: "large" }, audioMs: 1_500 },
    lines: [
      { class: "input", quantity: 10, exact: "0.000200000000" },
      { class: "cacheWrite1h", quantity: 1, exact: "0.000040000000" },
      { class: "reasoning", quantity: 3, exact: "0.000060000000" },
      { class: "image", quantity: 2, rate: "0.000400", exact: "0.000800000000" },
      { class: "audio", quantity: 1_500, rate: "0.000100", exact: "0.000150000000" },
      { class: "request", quantity: 1, exact: "0.000005000000" },
    ],
  });
  const [row] = await world.query("select charge_mismatch from usage_line where account_id = $1", [
    idToUuid(accountId),
  ]);
  expect(row).toEqual({ charge_mismatch: false });
  await importModel(world.database.urlFor("app", schema), [model]);
}, 30_000);

test("given a bucket that lost its book, when the service looks again, then the book is back", async () => {
  const kv = await world.bus.kv(priceBookKv);
  await kv.delete(priceBookKey);
  await eventually(async () => (await kv.get(priceBookKey)) !== null, {
    what: "the price book to come back",
    timeoutMs: 5_000,
  });
});

test("given a schema that is up to date, when migrate runs as a program, then it says that nothing was left to do", async () => {
  const run = await runProgram("migrate", [], { DATABASE_OWNER_URL: world.database.urlFor("owner", schema) });
  expect(JSON.parse(run.stdout)).toEqual({ event: "migrated", schema, applied: [] });
  expect(await runProgram("migrate", [], {})).toMatchObject({
    code: 78,
    stderr: expect.stringContaining("DATABASE_OWNER_URL"),
  });
});
