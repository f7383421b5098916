import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import {
  modelPrice,
  priceBookKey,
  priceBookKv,
  priceBookNextKey,
  pricePreview,
  priceVersion,
  priceVersionList,
  priceVersionMade,
  problem,
  type ModelPrice,
} from "@codex/contracts";
import { idToUuid, newId } from "@codex/kernel";
import { eventually } from "@codex/testkit";
import { z } from "zod";
import { send, type PageAnswer } from "./_page.ts";
import { accountIn, fund, importModel, model, startWorld, Worker, type World } from "./_util.ts";
import { schema } from "../src/index.ts";

let world: World;
let operator: string;
let support: string;
const operatorId = newId("acc");
const path = "/api/billing/operator/price-versions";

beforeAll(async () => {
  world = await startWorld();
  operator = await world.auth.signIn(operatorId, "finance");
  support = await world.auth.signIn(newId("acc"), "support");
});
afterAll(() => world.stop());

const rich: ModelPrice = {
  ...model,
  perImage: [{ variant: "1024x1024-high", microTokens: 160_000n }],
  perAudioSecond: 100n,
  tiers: [{ aboveInputTokens: 1_000, rates: { ...model.rates, input: 20_000_000n, cacheWrite1h: 41_000_000n } }],
  offPeak: [{ days: ["sat", "sun"], fromUtc: "22:00", toUtc: "06:00", multiplierPpm: 500_000 }],
};
const wire = (models: readonly ModelPrice[]) => models.map((price) => z.encode(modelPrice, price));
const inAnHour = (): string => new Date(Date.now() + 3_600_000).toISOString();

function create(
  models: readonly ModelPrice[],
  more: object = {},
  key: string = newId("evt"),
  cookie = operator,
): Promise<PageAnswer> {
  return send(world, "POST", path, cookie, { models: wire(models), ...more }, { "idempotency-key": key });
}

const codeOf = (answer: PageAnswer): string => problem.parse(answer.body).code;
const versions = async (): Promise<z.output<typeof priceVersionList>["versions"]> =>
  priceVersionList.parse((await world.get(`${path}?limit=200`, support)).body).versions;

async function cancelAll(): Promise<void> {
  for (const { version, state } of await versions()) {
    if (state === "scheduled")
      await send(world, "POST", `${path}/${version}/cancel`, operator, { reason: "test over" });
  }
}

describe("POST price-versions", () => {
  test("201: given a list with every field, when it is made, then it is in force, reads back the same, and names its maker; 200 when nothing would change", async () => {
    const groups = [{ group: "vip", multiplierPpm: 850_000 }];
    const made = await create([rich], { groups });
    expect(made.status).toBe(201);
    const { version, created } = priceVersionMade.parse(made.body);
    expect(created).toBe(true);
    const read = priceVersion.parse((await world.get(`${path}/${version}`, support)).body);
    expect(read).toMatchObject({ state: "in_force", createdBy: operatorId, groups, models: 1 });
    expect(read.prices).toEqual([rich]);
    const again = await create([rich], { groups });
    expect(again.status).toBe(200);
    expect(priceVersionMade.parse(again.body)).toMatchObject({ version, created: false });
    const other = await create([rich], { groups: [{ group: "vip", multiplierPpm: 849_999 }] });
    expect(other.status).toBe(201);
    const kv = await world.bus.kv(priceBookKv);
    await eventually(async () => (await kv.get(priceBookKey))?.value.groups[0]?.multiplierPpm === 849_999, {
      what: "the new groups in the bucket",
    });
  });

  test("the same key: given the same list, then the stored answer, whatever happened since; given another list or time, then 409; given a race, then one version", async () => {
    const key = newId("evt");
    const dear = { ...rich, perRequest: 11n };
    const race = await Promise.all([create([dear], {}, key), create([dear], {}, key), create([dear], {}, key)]);
    expect(race.map((answer) => answer.status)).toEqual([201, 201, 201]);
    expect(new Set(race.map((answer) => priceVersionMade.parse(answer.body).version)).size).toBe(1);
    await create([rich]);
    const replay = await create([dear], {}, key);
    expect(replay.body).toEqual(race[0].body);
    expect(replay.headers.get("idempotency-replayed")).toBe("true");
    expect(codeOf(await create([rich], {}, key))).toBe("idempotency_key_reused");
    expect(codeOf(await create([dear], { effectiveAt: inAnHour() }, key))).toBe("idempotency_key_reused");
  });

  test.each([
    ["no key", { key: "short" }, 400],
    ["a time that has passed", { more: { effectiveAt: "2026-01-01T00:00:00.000Z" } }, 400],
    ["a model named twice", { models: [model, model] }, 400],
    [
      "tiers in the wrong order",
      {
        models: [
          {
            ...model,
            tiers: [
              { aboveInputTokens: 9, rates: model.rates },
              { aboveInputTokens: 9, rates: model.rates },
            ],
          },
        ],
      },
      400,
    ],
    [
      "a group named twice",
      {
        more: {
          groups: [
            { group: "a", multiplierPpm: 1 },
            { group: "a", multiplierPpm: 2 },
          ],
        },
      },
      400,
    ],
    ["an unknown field", { more: { reason: "x" } }, 400],
  ])("400: given %s, then nothing is made", async (_name, change, status) => {
    const { key, more, models } = change as { key?: string; more?: object; models?: ModelPrice[] };
    const before = (await versions()).length;
    const answer = await create(models ?? [model], more, key);
    expect(answer.status).toBe(status);
    expect((await versions()).length).toBe(before);
  });

  test("401, 403: given nobody, a user or support, then no", async () => {
    expect((await send(world, "POST", path, undefined, { models: [] })).status).toBe(401);
    const user = await world.auth.signIn(newId("acc"));
    expect((await create([model], {}, undefined, user)).status).toBe(403);
    expect((await create([model], {}, undefined, support)).status).toBe(403);
    expect((await world.get(path, user)).status).toBe(403);
  });
});

describe("a scheduled version", () => {
  test("given a time ahead, then gateways have it before, the version in force stays, and it takes over at its time by itself", async () => {
    await create([model]);
    const [before] = (await versions()).filter(({ state }) => state === "in_force");
    const effectiveAt = new Date(Date.now() + 1_500).toISOString();
    const made = priceVersionMade.parse((await create([{ ...model, perRequest: 21n }], { effectiveAt })).body);
    const kv = await world.bus.kv(priceBookKv);
    await eventually(async () => (await kv.get(priceBookNextKey))?.value.version === made.version, {
      what: "the next book in the bucket",
    });
    expect((await kv.get(priceBookKey))?.value.version).toBe(before?.version);
    await eventually(
      async () =>
        (await kv.get(priceBookKey))?.value.version === made.version && (await kv.get(priceBookNextKey)) === null,
      { what: "the version in force", timeoutMs: 5_000 },
    );
    expect((await versions()).find(({ version }) => version === before?.version)?.state).toBe("superseded");
  });

  test("given it is cancelled before its time, then gateways lose it, a repeat answers the same, and it stays on record", async () => {
    const made = priceVersionMade.parse((await create([rich], { effectiveAt: inAnHour() })).body);
    const kv = await world.bus.kv(priceBookKv);
    await eventually(async () => (await kv.get(priceBookNextKey))?.value.version === made.version, {
      what: "the next book in the bucket",
    });
    const cancel = () => send(world, "POST", `${path}/${made.version}/cancel`, operator, { reason: "too early" });
    const first = await cancel();
    expect(first.status).toBe(200);
    expect(first.body).toMatchObject({ state: "cancelled" });
    expect((await cancel()).body).toEqual(first.body);
    await eventually(async () => (await kv.get(priceBookNextKey)) === null, { what: "the book out of the bucket" });
    const acts = await world.query("select actor, act, reason from price_act where target = $1", [
      idToUuid(made.version),
    ]);
    expect(acts).toEqual([{ actor: idToUuid(operatorId), act: "version_cancelled", reason: "too early" }]);
  });

  test("409: given the version in force, when it is cancelled, then no; 404: given none", async () => {
    const [current] = (await versions()).filter(({ state }) => state === "in_force");
    const cancel = (version: string) =>
      send(world, "POST", `${path}/${version}/cancel`, operator, { reason: "no more" });
    expect(codeOf(await cancel(current?.version ?? ""))).toBe("conflict");
    expect((await cancel(newId("prc"))).status).toBe(404);
    expect((await world.get(`${path}/${newId("prc")}`, support)).status).toBe(404);
  });

  test("given two at once, then the earlier is next, and pages of the list follow each other", async () => {
    await cancelAll();
    const later = priceVersionMade.parse((await create([rich], { effectiveAt: inAnHour() })).body);
    const sooner = priceVersionMade.parse(
      (await create([{ ...rich, perRequest: 2n }], { effectiveAt: new Date(Date.now() + 1_800_000).toISOString() }))
        .body,
    );
    const kv = await world.bus.kv(priceBookKv);
    await eventually(async () => (await kv.get(priceBookNextKey))?.value.version === sooner.version, {
      what: "the sooner book in the bucket",
    });
    const first = priceVersionList.parse((await world.get(`${path}?limit=1`, support)).body);
    expect(first.versions.map(({ version }) => version)).toEqual([later.version]);
    const second = priceVersionList.parse(
      (await world.get(`${path}?limit=200&cursor=${first.nextCursor ?? ""}`, support)).body,
    );
    const rest = second.versions.map(({ version }) => version);
    expect(rest).toContain(sooner.version);
    expect(rest).not.toContain(later.version);
    await cancelAll();
  });
});

describe("preview", () => {
  test("given usage of a day, when a list is tried on it, then each model tells what it would have cost, request by request, and nothing is written", async () => {
    const other: ModelPrice = { ...model, model: "demo-large", displayName: "Large" };
    const priceVersionId = await importModel(world.database.urlFor("app", schema), [model, other]);
    const worker = await Worker.open({ bus: world.bus, priceVersion: priceVersionId });
    const [one, two] = [accountIn(3), accountIn(3)];
    await fund(world, one, { paid: 100_000n });
    await fund(world, two, { paid: 100_000n });
    const [leaseOne, leaseTwo] = [await worker.lease(one, 50_000n), await worker.lease(two, 50_000n)];
    const midnightMs = Date.UTC(new Date().getUTCFullYear(), new Date().getUTCMonth(), new Date().getUTCDate());
    const hoursLater = (hours: number): string => new Date(midnightMs + hours * 3_600_000).toISOString();
    const [from, to] = [hoursLater(-24), hoursLater(0)];
    const day = { startedAt: hoursLater(-12) };
    await worker.send([
      worker.usage(one, leaseOne, { input: 1 }, day),
      worker.usage(one, leaseOne, { input: 3 }, day),
      worker.usage(two, leaseTwo, { output: 10 }, day),
      worker.usage(two, leaseTwo, { input: 5 }, { ...day, model: "demo-large" }),
      worker.usage(two, leaseTwo, {}, { ...day, costMicroTokens: 0n }),
      worker.usage(one, leaseOne, { input: 1 }, { startedAt: to }),
    ]);
    await worker.confirmed(3, 6);
    const before = await world.query("select count(*) from price_version");
    // 0.5 of a micro-token a token: 1 → 0.5 → 0, 3 → 1.5 → 2: each request is rounded by itself.
    const cheap = { ...model, rates: { ...model.rates, input: 500_000n }, perRequest: 0n };
    const body = { models: wire([cheap]), from, to };
    const answer = await send(world, "POST", `${path}/preview`, operator, body);
    expect(answer.status).toBe(200);
    const preview = pricePreview.parse(answer.body);
    expect(preview.models).toEqual([
      {
        model: "demo-small",
        requests: 4,
        charged: 15n + 35n + 205n,
        newCharged: 0n + 2n + 200n,
        difference: -53n,
        overHold: 0,
        accountsAffected: 2,
      },
      {
        model: "demo-large",
        requests: 1,
        charged: 55n,
        newCharged: null,
        difference: null,
        overHold: 0,
        accountsAffected: 0,
      },
    ]);
    expect(preview).toMatchObject({
      unpriced: ["demo-large"],
      complete: true,
      totals: { requests: 4, charged: 255n, newCharged: 202n, difference: -53n, accountsAffected: 2 },
    });
    expect(await world.query("select count(*) from price_version")).toEqual(before);
    const dear = { ...model, rates: { ...model.rates, input: 1_000_000_000n } };
    const dearer = pricePreview.parse(
      (await send(world, "POST", `${path}/preview`, operator, { ...body, models: wire([dear, other]) })).body,
    );
    expect(dearer.models[0]).toMatchObject({ model: "demo-small", overHold: 2, newCharged: 1_005n + 3_005n + 205n });
    expect(dearer.models[1]).toMatchObject({ model: "demo-large", difference: 0n, accountsAffected: 0 });
  }, 20_000);

  test.each([
    ["one end of the time", { from: "2026-11-20T00:00:00.000Z" }],
    ["an empty time", { from: "2026-11-20T00:00:00.000Z", to: "2026-11-20T00:00:00.000Z" }],
    ["a year", { from: "2025-11-20T00:00:00.000Z", to: "2026-11-20T00:00:00.000Z" }],
    ["no models", { models: [] }],
  ])("400: given %s, then it says so", async (_name, more) => {
    const answer = await send(world, "POST", `${path}/preview`, operator, { models: wire([model]), ...more });
    expect(answer.status).toBe(400);
  });

  test("given no time, then it is yesterday in UTC", async () => {
    const preview = pricePreview.parse(
      (await send(world, "POST", `${path}/preview`, operator, { models: wire([model]) })).body,
    );
    expect(Date.parse(preview.to) - Date.parse(preview.from)).toBe(86_400_000);
    expect(preview.to).toMatch(/T00:00:00\.000Z$/);
    expect(Date.parse(preview.to)).toBeLessThanOrEqual(Date.now());
  });
});

describe("POST accounts/:accountId/price-group", () => {
  const set = (accountId: string, group: string, cookie = operator): Promise<PageAnswer> =>
    send(world, "POST", `/api/billing/operator/accounts/${accountId}/price-group`, cookie, {
      group,
      reason: "contract 17",
    });

  test("200: given a group of the book, then the account is in it, who did it is kept, and a repeat writes nothing", async () => {
    await create([model], { groups: [{ group: "partner", multiplierPpm: 900_000 }] });
    const accountId = newId("acc");
    expect((await set(accountId, "partner")).body).toEqual({ accountId, before: "default", group: "partner" });
    expect((await set(accountId, "partner")).body).toEqual({ accountId, before: "partner", group: "partner" });
    expect(await world.query("select price_group from balance where account_id = $1", [idToUuid(accountId)])).toEqual([
      { price_group: "partner" },
    ]);
    const acts = "select actor, before, after, reason from price_act where target = $1";
    expect(await world.query(acts, [idToUuid(accountId)])).toEqual([
      { actor: idToUuid(operatorId), before: "default", after: "partner", reason: "contract 17" },
    ]);
    expect((await set(accountId, "default")).status).toBe(200);
  });

  test("400: given a group that no book has; 403: given the own account, or no operator of money; 404: given no account id", async () => {
    expect((await set(newId("acc"), "nowhere")).status).toBe(400);
    expect((await set(operatorId, "default")).status).toBe(403);
    expect((await set(newId("acc"), "default", support)).status).toBe(403);
    expect((await set("acc_nobody", "default")).status).toBe(404);
  });
});

test("given the service's own role, when it writes past the functions, then it may not", async () => {
  for (const statement of [
    "insert into price_act (actor, act, target, reason) select uuid_v7(), 'group_set', uuid_v7(), 'because'",
    "insert into price_version_cancelled (price_version, cancelled_by, reason) select id, id, 'because' from price_version",
    "update price_version set effective_at = now()",
    "update price_command set created = false",
    "delete from price_row",
    "update balance set price_group = 'vip'",
  ]) {
    await expect(asService(statement)).rejects.toThrow(/permission denied/);
  }
});

async function asService(statement: string): Promise<void> {
  const { default: pg } = await import("pg");
  const client = new pg.Client({
    connectionString: world.database.urlFor("app", schema),
    options: `-c search_path=${schema}`,
  });
  await client.connect();
  try {
    await client.query(statement);
  } finally {
    await client.end();
  }
}
