import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { balanceChanged, bonusList, deadLetterSubject, grantCommand, statementPage, subjectOf } from "@codex/contracts";
import { idToUuid, newId, type AccountId } from "@codex/kernel";
import { eventually } from "@codex/testkit";
import { jetstreamManager } from "@nats-io/jetstream";
import fc from "fast-check";
import pg from "pg";
import { brokenInvariants } from "./_invariants.ts";
import { lastEvent } from "./_page.ts";
import { accountIn, balanceOf, fund, startWorld, Worker, type World } from "./_util.ts";

let world: World;
beforeAll(async () => {
  world = await startWorld();
});
afterAll(async () => {
  expect(await brokenInvariants((text, values) => world.query(text, values))).toEqual([]);
  await world.stop();
});

const past = "2026-01-01T00:00:00.000Z";
const future = "2099-01-01T00:00:00.000Z";

async function grant(
  accountId: AccountId,
  amount: bigint,
  expiresAt: string,
  more: { bucket?: "paid" | "bonus"; key?: string } = {},
): Promise<string> {
  const key = more.key ?? newId("evt");
  await world.bus.publish(grantCommand, {
    params: { accountId },
    data: {
      accountId,
      bucket: more.bucket ?? "bonus",
      amountMicroTokens: amount,
      reason: "telegram_bonus",
      idempotencyKey: key,
      expiresAt,
    },
  });
  return key;
}

async function bonusIs(accountId: AccountId, bonus: bigint): Promise<void> {
  await eventually(async () => (await balanceOf(world, accountId)).bonusMicroTokens === bonus, {
    what: `a bonus of ${String(bonus)}`,
  });
}

async function states(accountId: AccountId): Promise<{ state: string; taken: string }[]> {
  return world.query<{ state: string; taken: string }>(
    "select state, taken from bonus_expiry where account_id = $1 order by version",
    [idToUuid(accountId)],
  );
}

async function ended(accountId: AccountId): Promise<void> {
  await eventually(
    async () => {
      const rows = await states(accountId);
      return rows.length > 0 && rows.every(({ state }) => state === "ended");
    },
    { what: "the expiry" },
  );
}

/** Moves the end of every running credit into the past. */
async function passTime(accountId: AccountId): Promise<void> {
  await world.query("alter table bonus_expiry disable trigger bonus_expiry_lifecycle");
  await world.query(
    "update bonus_expiry set expires_at = $2, next_try_at = $2 where account_id = $1 and state = 'running'",
    [idToUuid(accountId), past],
  );
  await world.query("alter table bonus_expiry enable trigger bonus_expiry_lifecycle");
}

describe("a grant that expires", () => {
  test("given a bonus with an end, when the end comes, then what is left goes back to promo, and the statement and the event tell", async () => {
    const accountId = accountIn(7);
    const cookie = await world.auth.signIn(accountId);
    await grant(accountId, 1_000n, future);
    await bonusIs(accountId, 1_000n);
    const worker = await Worker.open(world);
    const leaseId = await worker.lease(accountId, 500n);
    await worker.send([
      worker.usage(accountId, leaseId, { input: 10, output: 2 }),
      worker.close(accountId, leaseId, 145n),
    ]);
    await worker.confirmed(7, 2);
    const list = bonusList.parse((await world.get("/api/billing/bonuses", cookie)).body);
    expect(list.bonuses).toMatchObject([{ amount: 1_000n, remaining: 855n, expiresAt: future }]);
    await passTime(accountId);
    await ended(accountId);
    expect(await balanceOf(world, accountId)).toMatchObject({ bonusMicroTokens: 0n, heldMicroTokens: 0n });
    const { lines } = statementPage.parse((await world.get("/api/billing/statement", cookie)).body);
    expect(lines[0]).toMatchObject({ kind: "expiry", bucket: "bonus", amount: -855n, reason: "bonus expired" });
    expect((await world.get("/api/billing/bonuses", cookie)).body).toEqual({ bonuses: [] });
    await eventually(
      async () => {
        const event = (await lastEvent(world, subjectOf(balanceChanged.pattern, { accountId }))) as
          { data: { bonusMicroTokens: string } } | undefined;
        return event?.data.bonusMicroTokens === "0";
      },
      { what: "balance.changed after the expiry" },
    );
  });

  test("given a lease that holds the bonus, when the end comes, then no more than what is available is taken; the rest once the lease gives it back", async () => {
    const accountId = accountIn(7);
    await grant(accountId, 1_000n, future);
    await bonusIs(accountId, 1_000n);
    const worker = await Worker.open(world);
    const leaseId = await worker.lease(accountId, 400n);
    await passTime(accountId);
    await bonusIs(accountId, 400n);
    expect(await states(accountId)).toEqual([{ state: "running", taken: "600" }]);
    await worker.send([
      worker.usage(accountId, leaseId, { input: 10, output: 2 }),
      worker.close(accountId, leaseId, 145n),
    ]);
    await worker.confirmed(7, 2);
    await passTime(accountId);
    await ended(accountId);
    expect(await states(accountId)).toEqual([{ state: "ended", taken: "855" }]);
    expect((await balanceOf(world, accountId)).bonusMicroTokens).toBe(0n);
  });

  test("given two replicas that look at once, when the end comes, then it is taken once", async () => {
    await world.startReplica();
    const accounts = Array.from({ length: 6 }, () => accountIn(7));
    for (const accountId of accounts) {
      await fund(world, accountId, { bonus: 50n });
      await grant(accountId, 100n, past);
    }
    for (const accountId of accounts) {
      await ended(accountId);
      expect((await balanceOf(world, accountId)).bonusMicroTokens).toBe(50n);
    }
  });

  test("given the same key with the same end, another end and none, then the first is credited once and the others are dead letters", async () => {
    const accountId = accountIn(7);
    const key = await grant(accountId, 100n, future);
    await bonusIs(accountId, 100n);
    await grant(accountId, 100n, future, { key });
    const jsm = await jetstreamManager(world.bus.connection);
    const letters = async (): Promise<number> =>
      (await jsm.streams.info("DEAD_LETTERS", { subjects_filter: deadLetterSubject("COMMANDS", "billing-grants") }))
        .state.messages;
    const before = await letters();
    await grant(accountId, 100n, "2098-01-01T00:00:00.000Z", { key });
    await grant(accountId, 100n, future, { bucket: "paid" });
    await eventually(async () => (await letters()) === before + 2, { what: "two dead letters" });
    expect(await balanceOf(world, accountId)).toMatchObject({ bonusMicroTokens: 100n, paidMicroTokens: 0n });
  });

  test("401: given no session, when the bonuses are asked for, then it is refused; another account sees none", async () => {
    expect((await world.get("/api/billing/bonuses")).status).toBe(401);
    const answer = await world.get("/api/billing/bonuses", await world.auth.signIn(newId("acc")));
    expect(answer).toMatchObject({ status: 200, body: { bonuses: [] } });
  });

  test("given the service's role, when it touches the table, then it lacks the right", async () => {
    const app = new pg.Client({
      connectionString: world.database.urlFor("app", "billing"),
      options: "-c search_path=billing",
    });
    await app.connect();
    try {
      await expect(app.query("update bonus_expiry set state = 'ended'")).rejects.toMatchObject({ code: "42501" });
    } finally {
      await app.end();
    }
  });
});

/** The rule in its plainest form: a queue of credits, the oldest spent first. */
interface Credit {
  left: bigint;
  readonly expires: boolean;
}

function spend(queue: Credit[], amount: bigint): void {
  let rest = amount;
  for (const credit of queue) {
    const take = credit.left < rest ? credit.left : rest;
    credit.left -= take;
    rest -= take;
  }
}

test("given any order of credits, spending and expiry, then the bucket is what a queue of credits would hold", async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(
        fc.oneof(
          fc.record({
            act: fc.constant("credit" as const),
            amount: fc.bigInt({ min: 1n, max: 100n }),
            expires: fc.boolean(),
          }),
          fc.record({ act: fc.constant("spend" as const), share: fc.integer({ min: 0, max: 100 }) }),
          fc.record({ act: fc.constant("expire" as const), which: fc.nat(20) }),
        ),
        { minLength: 1, maxLength: 20 },
      ),
      async (acts) => {
        const account = idToUuid(newId("acc"));
        const queue: Credit[] = [];
        const ids: string[] = [];
        for (const act of acts) {
          const total = queue.reduce((sum, credit) => sum + credit.left, 0n);
          if (act.act === "credit") {
            const id = idToUuid(newId("trf"));
            const end = act.expires ? ", '2099-01-01'" : "";
            await world.query(
              `select outcome from ${act.expires ? "credit_expiring" : "credit_account"}($1, sha256('x'), $2, $3, 'bonus', 'promo', 0::smallint, $4, 'test'${end})`,
              [`test:${id}`, id, account, act.amount],
            );
            queue.push({ left: act.amount, expires: act.expires });
            ids.push(id);
          } else if (act.act === "spend") {
            const amount = (total * BigInt(act.share)) / 100n;
            if (amount === 0n) continue;
            await world.query(
              "select post_transfer(uuid_v7(), 'adjustment', $1, 'bonus', 'debit', 'adjustments', 0::smallint, $2, 'spent')",
              [account, amount],
            );
            spend(queue, amount);
          } else {
            const credit = queue[act.which];
            if (!credit?.expires) continue;
            await world.query("update bonus_expiry set next_try_at = $2 where transfer_id = $1 and state = 'running'", [
              ids[act.which],
              past,
            ]);
            await eventually(
              async () =>
                (
                  await world.query("select from bonus_expiry where transfer_id = $1 and state = 'ended'", [
                    ids[act.which],
                  ])
                ).length === 1,
              { what: "the expiry of one credit" },
            );
            credit.left = 0n;
          }
          const expected = queue.reduce((sum, one) => sum + one.left, 0n);
          const [row] = await world.query<{ bonus: string }>("select bonus from balance where account_id = $1", [
            account,
          ]);
          expect(row?.bonus ?? "0").toBe(expected.toString());
        }
      },
    ),
    { numRuns: 20 },
  );
});
