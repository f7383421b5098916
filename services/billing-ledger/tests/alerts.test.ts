import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { alertHistory, alertSettings, balanceLow, problem, subjectOf } from "@codex/contracts";
import { idToUuid, newId, type AccountId } from "@codex/kernel";
import { eventually } from "@codex/testkit";
import pg from "pg";
import { lastEvent, send, type PageAnswer } from "./_page.ts";
import { accountIn, fund, startWorld, Worker, type LeaseId, type World } from "./_util.ts";

let world: World;
beforeAll(async () => {
  world = await startWorld();
});
afterAll(() => world.stop());

const path = "/api/billing/alerts";

interface Customer {
  readonly accountId: AccountId;
  readonly cookie: string;
  /** Spends exactly this many micro-tokens: one price unit of input is ten, a request five. */
  spend(amount: bigint): Promise<void>;
}

async function customer(paid: bigint): Promise<Customer> {
  const accountId = accountIn(4);
  const cookie = await world.auth.signIn(accountId);
  await fund(world, accountId, { paid });
  const worker = await Worker.open(world, newId("job"));
  let leaseId: LeaseId | undefined;
  let seq = 0;
  return {
    accountId,
    cookie,
    spend: async (amount) => {
      leaseId ??= await worker.lease(accountId, paid / 2n);
      seq += 1;
      await worker.send([
        worker.usage(accountId, leaseId, { input: 1 }, { costMicroTokens: amount, holdMicroTokens: amount }),
      ]);
      await worker.confirmed(4, seq);
    },
  };
}

const set = (cookie: string | undefined, body: unknown): Promise<PageAnswer> => send(world, "PUT", path, cookie, body);

/** Waits until the round has seen the balance as it is now. */
async function looked(accountId: AccountId): Promise<void> {
  await eventually(
    async () => {
      const rows = await world.query(
        `select from alert_setting s join balance b using (account_id)
         where s.account_id = $1 and s.seen_version = b.version`,
        [idToUuid(accountId)],
      );
      return rows.length === 1;
    },
    { what: "a look at the balance" },
  );
}

async function fired(cookie: string): Promise<bigint[]> {
  const answer = await world.get(`${path}/history`, cookie);
  return alertHistory.parse(answer.body).alerts.map(({ threshold }) => threshold);
}

describe("PUT and GET /api/billing/alerts", () => {
  test("200: given an account that never set any, when it asks, then there are none", async () => {
    const answer = await world.get(path, await world.auth.signIn(newId("acc")));
    expect(answer).toMatchObject({ status: 200, body: { enabled: false, thresholds: [], silent: [] } });
  });

  test("200: given thresholds, when they are set, then they are kept highest first, and one above the balance is silent from the start", async () => {
    const { cookie } = await customer(1_000n);
    const answer = await set(cookie, { enabled: true, thresholds: ["0.000300", "0.002000", "0.000500"] });
    expect(answer.status).toBe(200);
    expect(alertSettings.parse(answer.body)).toEqual({
      enabled: true,
      thresholds: [2_000n, 500n, 300n],
      silent: [2_000n],
    });
    expect((await world.get(path, cookie)).body).toEqual(answer.body);
    // The same again, and fewer: what is set is the whole.
    expect((await set(cookie, { enabled: true, thresholds: ["0.000500"] })).body).toMatchObject({
      thresholds: ["0.000500"],
    });
  });

  test("given ten changes at once, then one of them is what is set", async () => {
    const { cookie } = await customer(1_000n);
    const answers = await Promise.all(
      Array.from({ length: 10 }, (_, index) =>
        set(cookie, { enabled: true, thresholds: [`0.0001${String(index)}0`, `0.0002${String(index)}0`] }),
      ),
    );
    expect(answers.every(({ status }) => status === 200)).toBe(true);
    const now = (await world.get(path, cookie)).body;
    expect(answers.map(({ body }) => body)).toContainEqual(now);
  });

  test.each([
    ["six thresholds", { enabled: true, thresholds: ["1", "2", "3", "4", "5", "6"] }],
    ["two that are equal", { enabled: true, thresholds: ["1.0", "1.000000"] }],
    ["nothing as a threshold", { enabled: true, thresholds: ["0"] }],
    ["a negative one", { enabled: true, thresholds: ["-1"] }],
    ["a number", { enabled: true, thresholds: [1] }],
    ["no word on enabled", { thresholds: [] }],
    ["an unknown field", { enabled: true, thresholds: [], mail: "x" }],
  ])("400: given %s, when it is set, then it is refused", async (_name, body) => {
    const answer = await set(await world.auth.signIn(newId("acc")), body);
    expect([answer.status, problem.parse(answer.body).code]).toEqual([400, "invalid_request"]);
  });

  test("401: given no session, when alerts are asked for or set, then it is refused", async () => {
    expect((await world.get(path)).status).toBe(401);
    expect((await world.get(`${path}/history`)).status).toBe(401);
    expect((await set(undefined, { enabled: true, thresholds: [] })).status).toBe(401);
  });
});

describe("a balance that runs low", () => {
  test("given two thresholds, when usage takes the balance below them one after the other, then each tells once, in history and as an event", async () => {
    const { accountId, cookie, spend } = await customer(1_000n);
    await set(cookie, { enabled: true, thresholds: ["0.000900", "0.000700"] });
    await spend(150n);
    await looked(accountId);
    expect(await fired(cookie)).toEqual([900n]);
    await spend(10n);
    await spend(10n);
    await looked(accountId);
    expect(await fired(cookie)).toEqual([900n]);
    await spend(200n);
    await looked(accountId);
    expect(await fired(cookie)).toEqual([700n, 900n]);
    const [alert] = alertHistory.parse((await world.get(`${path}/history?limit=1`, cookie)).body).alerts;
    const event = await eventually(
      async () => {
        const last = (await lastEvent(world, subjectOf(balanceLow.pattern, { accountId }))) as
          { id: string } | undefined;
        return last?.id === alert?.alertId && last;
      },
      { what: "balance.low of the second threshold" },
    );
    expect(event).toMatchObject({
      type: "balance.low.v1",
      data: { accountId, thresholdMicroTokens: "700", balanceMicroTokens: "630" },
    });
  });

  test("given a lease that reserves half of the balance, when nothing is spent, then nothing is told", async () => {
    const { accountId, cookie } = await customer(1_000n);
    await set(cookie, { enabled: true, thresholds: ["0.000900"] });
    const worker = await Worker.open(world, newId("job"));
    await worker.lease(accountId, 400n);
    await looked(accountId);
    expect(await fired(cookie)).toEqual([]);
  });

  test("given a threshold that has told, when the balance rises a little, then it stays silent; when it rises by five per cent, then it tells again", async () => {
    const { accountId, cookie, spend } = await customer(1_000n);
    await set(cookie, { enabled: true, thresholds: ["0.000900"] });
    await spend(150n);
    await looked(accountId);
    await fund(world, accountId, { paid: 90n });
    await looked(accountId);
    await spend(60n);
    await looked(accountId);
    expect(await fired(cookie)).toEqual([900n]);
    await fund(world, accountId, { paid: 100n });
    await looked(accountId);
    expect(alertSettings.parse((await world.get(path, cookie)).body).silent).toEqual([]);
    await spend(100n);
    await looked(accountId);
    expect(await fired(cookie)).toEqual([900n, 900n]);
  });

  test("given alerts that are switched off, when the balance falls, then nothing is told, then or later", async () => {
    const { accountId, cookie, spend } = await customer(1_000n);
    await set(cookie, { enabled: true, thresholds: ["0.000900"] });
    await looked(accountId);
    await set(cookie, { enabled: false, thresholds: ["0.000900"] });
    await spend(200n);
    await set(cookie, { enabled: true, thresholds: ["0.000900"] });
    await looked(accountId);
    expect(await fired(cookie)).toEqual([]);
    expect((await world.get(path, cookie)).body).toMatchObject({ silent: ["0.000900"] });
  });

  test("given a second replica, when a balance falls, then it is told once", async () => {
    await world.startReplica();
    const customers = await Promise.all(Array.from({ length: 5 }, () => customer(1_000n)));
    for (const { cookie } of customers) await set(cookie, { enabled: true, thresholds: ["0.000900"] });
    await Promise.all(customers.map(({ spend }) => spend(150n)));
    for (const { accountId, cookie } of customers) {
      await looked(accountId);
      expect(await fired(cookie)).toEqual([900n]);
    }
  });
});

describe("GET /api/billing/alerts/history", () => {
  test("200: given several alerts, when they are read page by page, then each comes once; others see none of them", async () => {
    const { accountId, cookie, spend } = await customer(1_000n);
    await set(cookie, { enabled: true, thresholds: ["0.000900", "0.000800", "0.000700"] });
    await spend(350n);
    await looked(accountId);
    const seen: bigint[] = [];
    let cursor: string | null = null;
    do {
      const suffix: string = cursor === null ? "" : `&cursor=${cursor}`;
      const page = alertHistory.parse((await world.get(`${path}/history?limit=2${suffix}`, cookie)).body);
      seen.push(...page.alerts.map(({ threshold }) => threshold));
      cursor = page.nextCursor;
    } while (cursor !== null);
    expect(seen.toSorted()).toEqual([700n, 800n, 900n].toSorted());
    expect(await fired(await world.auth.signIn(newId("acc")))).toEqual([]);
    expect(await world.get(`${path}/history?cursor=nonsense`, cookie)).toMatchObject({
      status: 400,
      body: { code: "invalid_cursor" },
    });
  });

  test("given the service's role and the owner, when either changes what fired, then it is refused", async () => {
    for (const [role, code] of [
      ["app", "42501"],
      ["owner", "23001"],
    ] as const) {
      const client = new pg.Client({
        connectionString: world.database.urlFor(role, "billing"),
        options: "-c search_path=billing",
      });
      await client.connect();
      try {
        await expect(client.query("update alert_fired set balance = 0")).rejects.toMatchObject({ code });
      } finally {
        await client.end();
      }
    }
  });
});
