import { priceBookKey, priceBookKv, priceBookNextKey, type PriceBook } from "@codex/contracts";
import { newId } from "@codex/kernel";
import { eventually } from "@codex/testkit";
import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { chat, send, startWorld, type World } from "./_world.ts";

let world: World;
beforeAll(async () => {
  world = await startWorld();
});
afterAll(() => world.stop());

async function bookNow(): Promise<PriceBook> {
  const found = await (await world.bus.kv(priceBookKv)).get(priceBookKey);
  if (!found) throw new Error("no price book");
  return found.value;
}

const versionOf = (answer: Awaited<ReturnType<typeof chat>>): unknown =>
  (answer.body["usage"] as { cost_details?: { price_version?: unknown } } | undefined)?.cost_details?.price_version;

test("given a scheduled version, when its time comes and nothing is published, then every worker charges by it and a model it drops is a 404", async () => {
  const { apiKey } = world.customer(10n ** 12n);
  const second = await world.startGateway();
  const current = await bookNow();
  expect(versionOf(await chat(world.gateway, apiKey))).toBe(current.version);
  const kv = await world.bus.kv(priceBookKv);
  const next: PriceBook = {
    ...current,
    version: newId("prc"),
    effectiveAt: new Date(Date.now() + 1_500).toISOString(),
    models: current.models.filter(({ model }) => model !== "demo-slow"),
  };
  await kv.put(priceBookNextKey, next);
  for (const gateway of [world.gateway, second]) {
    await eventually(async () => versionOf(await chat(gateway, apiKey)) === next.version, {
      what: "a charge by the scheduled version",
      timeoutMs: 10_000,
    });
    expect(Date.now()).toBeGreaterThanOrEqual(Date.parse(next.effectiveAt));
    expect((await chat(gateway, apiKey, { model: "demo-slow" })).body).toMatchObject({
      error: { code: "model_not_found" },
    });
  }
  // Nobody has touched the version in force.
  expect((await bookNow()).version).toBe(current.version);
}, 40_000);

test("given a name nobody has a price for, when it is asked for, then it is a 404 that names the nearest, before any upstream is called and any money is asked for", async () => {
  const { accountId, apiKey } = world.customer(10n ** 12n);
  const calls = (): number => world.upstream.journal.page(0, 1_000).entries.length;
  const before = calls();
  const answer = await chat(world.gateway, apiKey, { model: "demo-smal" });
  expect(answer.status).toBe(404);
  expect(answer.body).toMatchObject({ error: { code: "model_not_found", param: "model" } });
  expect(JSON.stringify(answer.body)).toContain("demo-small");
  expect(calls()).toBe(before);
  expect(world.billing.balance(accountId).reserved).toBe(0n);
});

test("given prices, when the models are listed, then each class, tier and time of the week is told, in tokens of one model token", async () => {
  const { apiKey } = world.customer(0n);
  const { body } = await send(world.gateway, "GET", "/v1/models/demo-small", {
    headers: { authorization: `Bearer ${apiKey}` },
  });
  expect(body["pricing"]).toMatchObject({ prompt: "0.001", input_cache_write_1h: "0.001", tiers: [], off_peak: [] });
});

test("given a customer of a group, when a request is charged, then the group's share is paid and the record names it; the second hold knows the group", async () => {
  const current = await bookNow();
  const kv = await world.bus.kv(priceBookKv);
  const version = newId("prc");
  const groups = [
    { group: "half", multiplierPpm: 500_000 },
    { group: "dear", multiplierPpm: 4_000_000 },
  ];
  await kv.put(priceBookKey, { ...current, version, effectiveAt: new Date().toISOString(), groups });
  const plain = world.customer(10n ** 12n);
  const half = world.customer(10n ** 12n);
  world.billing.groups.set(half.accountId, "half");
  await eventually(async () => versionOf(await chat(world.gateway, plain.apiKey)) === version, { what: "the groups" });
  for (let call = 1; call <= 2; call += 1) expect((await chat(world.gateway, half.apiKey)).status).toBe(200);
  await eventually(() => world.billing.usage(half.accountId).length === 2, { what: "the records" });
  const [full] = world.billing.usage(plain.accountId).filter((record) => record.priceVersion === version);
  const [first, second] = world.billing.usage(half.accountId);
  expect(full?.priceGroup).toBe("default");
  expect([first?.priceGroup, second?.priceGroup]).toEqual(["half", "half"]);
  expect(first?.tokens).toEqual(full?.tokens);
  expect((first?.costMicroTokens ?? 0n) * 2n).toBe(full?.costMicroTokens);
  // The first hold is for the dearest group of the book, the second for the one the lease has told.
  expect(first?.holdMicroTokens).toBe((second?.holdMicroTokens ?? 0n) * 8n);
}, 30_000);
