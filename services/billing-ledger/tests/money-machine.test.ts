import { createDatabase, type TestDatabase } from "@codex/testkit";
import { idToUuid, newId } from "@codex/kernel";
import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import fc from "fast-check";
import { createHash, randomUUID } from "node:crypto";
import pg from "pg";
import { migrations, schema } from "../src/index.ts";
import { brokenInvariants } from "./_invariants.ts";

let database: TestDatabase;
let owner: pg.Pool;

beforeAll(async () => {
  database = await createDatabase({ service: [{ schema, migrations }] });
  owner = new pg.Pool({
    connectionString: database.urlFor("owner", schema),
    max: 4,
    options: `-c search_path=${schema}`,
  });
  owner.on("error", () => undefined);
});
afterAll(async () => {
  await owner.end();
  await database.drop();
});

interface Answer {
  readonly outcome: string;
  readonly result?: Readonly<Record<string, string>>;
  readonly balance?: Readonly<Record<string, string>>;
  readonly debitable?: string;
  readonly state?: string;
}

function hashOf(input: unknown): Buffer {
  return createHash("sha256").update(JSON.stringify(input)).digest();
}

async function query<Row extends pg.QueryResultRow>(text: string, values: readonly unknown[] = []): Promise<Row[]> {
  return (await owner.query<Row>(text, [...values])).rows;
}

async function call(text: string, values: readonly unknown[]): Promise<Answer> {
  const [row] = await query<{ answer: Answer }>(`select ${text} as answer`, values);
  if (!row) throw new Error("the function answered nothing");
  return row.answer;
}

type Bucket = "paid" | "bonus";

interface Move {
  readonly account: string;
  readonly bucket: Bucket;
  readonly direction: "credit" | "debit";
  readonly amount: bigint;
  readonly key?: string;
  readonly input?: unknown;
}

function move({ account, bucket, direction, amount, key = randomUUID(), input = amount.toString() }: Move) {
  return call("move_money($1, $2, uuid_v7(), 'adjustment', $3, $4, $5, 'adjustments', 3::smallint, $6, 'test')", [
    key,
    hashOf(input),
    account,
    bucket,
    direction,
    amount,
  ]);
}

function pend(account: string, amount: bigint, more: { key?: string; id?: string; expiresAt?: Date } = {}) {
  const { key = randomUUID(), id = randomUUID(), expiresAt = null } = more;
  return call("pend_transfer($1, $2, $3, 'payment_refund', $4, 'refund_clearing', 3::smallint, $5, 'test', $6)", [
    key,
    hashOf([account, amount.toString()]),
    id,
    account,
    amount,
    expiresAt,
  ]);
}

function post(id: string, amount: bigint | null, key: string = randomUUID()) {
  return call("post_pending($1, $2, $3, $4, uuid_v7())", [key, hashOf([id, String(amount)]), id, amount]);
}

function release(id: string, key: string = randomUUID()) {
  return call("void_pending($1, $2, $3, 'test')", [key, hashOf(id), id]);
}

function fresh(): string {
  return idToUuid(newId("acc"));
}

async function funded(paid: bigint, bonus = 0n): Promise<string> {
  const account = fresh();
  if (paid > 0n) await move({ account, bucket: "paid", direction: "credit", amount: paid });
  if (bonus > 0n) await move({ account, bucket: "bonus", direction: "credit", amount: bonus });
  return account;
}

async function balanceOf(account: string): Promise<{ paid: bigint; bonus: bigint; reserved: bigint }> {
  const [row] = await query<{ paid: string; bonus: string; reserved: string }>(
    "select paid, bonus, reserved from balance where account_id = $1",
    [account],
  );
  return { paid: BigInt(row?.paid ?? 0), bonus: BigInt(row?.bonus ?? 0), reserved: BigInt(row?.reserved ?? 0) };
}

describe("move_money", () => {
  test("given one key and one input, when it comes again, then the stored result is told and nothing moves twice", async () => {
    const account = fresh();
    const key = randomUUID();
    const first = await move({ account, bucket: "bonus", direction: "credit", amount: 7n, key });
    const second = await move({ account, bucket: "bonus", direction: "credit", amount: 7n, key });
    expect(first).toMatchObject({ outcome: "posted", balance: { bonus: "7", version: "1" } });
    expect(second).toEqual({ outcome: "replayed", result: first.result });
    expect(await balanceOf(account)).toEqual({ paid: 0n, bonus: 7n, reserved: 0n });
  });

  test("given a used key, when another input comes with it, then it is a conflict and nothing moves", async () => {
    const account = fresh();
    const key = randomUUID();
    await move({ account, bucket: "paid", direction: "credit", amount: 7n, key });
    expect(await move({ account, bucket: "paid", direction: "credit", amount: 8n, key })).toEqual({
      outcome: "conflict",
    });
    expect((await balanceOf(account)).paid).toBe(7n);
  });

  test("given one key, when eight come at once, then one posts and all have the same result", async () => {
    const account = fresh();
    const key = randomUUID();
    const ask = () => move({ account, bucket: "paid", direction: "credit", amount: 5n, key });
    const answers = await Promise.all(Array.from({ length: 8 }, ask));
    expect(answers.filter((answer) => answer.outcome === "posted")).toHaveLength(1);
    expect(new Set(answers.map((answer) => answer.result?.["transfer_id"])).size).toBe(1);
    expect((await balanceOf(account)).paid).toBe(5n);
  });

  test("given a refusal, when the money has come, then the same key works: refusals are not kept", async () => {
    const account = fresh();
    const key = randomUUID();
    const ask = () => move({ account, bucket: "paid", direction: "debit", amount: 5n, key });
    expect(await ask()).toEqual({ outcome: "insufficient_balance", debitable: "0" });
    await move({ account, bucket: "paid", direction: "credit", amount: 9n });
    expect(await ask()).toMatchObject({ outcome: "posted", balance: { paid: "4" } });
  });

  test("given a bucket that would do and a lease that holds the rest, when more than available is asked, then it is refused", async () => {
    const account = await funded(10n);
    await query("insert into gateway_epoch (epoch, worker_id) values (1, 'w') on conflict do nothing");
    const lease = "grant_lease(uuid_v7(), 1, $2, $1, 3::smallint, 8, 8, 1000)";
    await query(`select * from ${lease}`, [account, Date.now()]);
    expect(await move({ account, bucket: "paid", direction: "debit", amount: 3n })).toEqual({
      outcome: "insufficient_balance",
      debitable: "2",
    });
    expect(await move({ account, bucket: "paid", direction: "debit", amount: 2n })).toMatchObject({
      outcome: "posted",
    });
    expect(await brokenInvariants(query)).toEqual([]);
  });

  test.each([
    ["an amount of zero", { amount: 0n }],
    ["a negative amount", { amount: -1n }],
    ["an unknown bucket", { bucket: "gift" as Bucket }],
  ])("given %s, when it is to be moved, then it is refused as a defect of the caller", async (_name, change) => {
    await expect(
      move({ account: fresh(), bucket: "paid", direction: "credit", amount: 1n, ...change }),
    ).rejects.toMatchObject({ code: "22023" });
  });

  test("given a debit beyond the bucket, when post_transfer is called without asking, then the last line holds", async () => {
    const account = await funded(3n, 9n);
    await expect(
      query(
        "select post_transfer(uuid_v7(), 'adjustment', $1, 'paid', 'debit', 'adjustments', 3::smallint, 4, 'test')",
        [account],
      ),
    ).rejects.toMatchObject({ code: "23514" });
  });
});

describe("two-phase debits", () => {
  test("given a pending debit, when a part is posted, then that part has moved and the rest is free again", async () => {
    const account = await funded(100n, 50n);
    const id = randomUUID();
    expect(await pend(account, 80n, { id })).toMatchObject({
      outcome: "pended",
      balance: { paid: "100", reserved: "80" },
    });
    expect(await move({ account, bucket: "paid", direction: "debit", amount: 21n })).toEqual({
      outcome: "insufficient_balance",
      debitable: "20",
    });
    expect(await post(id, 30n)).toMatchObject({
      outcome: "posted",
      balance: { paid: "70", bonus: "50", reserved: "0" },
    });
    expect(await brokenInvariants(query)).toEqual([]);
  });

  test("given bonus alone, when a debit is to be pended, then it is refused: only paid money is promised", async () => {
    const account = await funded(0n, 50n);
    expect(await pend(account, 1n)).toEqual({ outcome: "insufficient_balance", debitable: "0" });
  });

  test("given a pending debit, when post and void come at once, then one of them resolves it", async () => {
    for (let round = 0; round < 5; round += 1) {
      const account = await funded(10n);
      const id = randomUUID();
      await pend(account, 10n, { id });
      const answers = await Promise.all([post(id, null), release(id)]);
      const outcomes = answers.map((answer) => answer.outcome).toSorted();
      expect([
        ["already_resolved", "posted"],
        ["already_resolved", "voided"],
      ]).toContainEqual(outcomes);
    }
    expect(await brokenInvariants(query)).toEqual([]);
  });

  test("given each command, when it is repeated, reused for another input or names nothing, then the answer says so", async () => {
    const account = await funded(10n);
    const [id, pendKey, postKey] = [randomUUID(), randomUUID(), randomUUID()];
    const pended = await pend(account, 6n, { id, key: pendKey });
    expect(await pend(account, 6n, { id, key: pendKey })).toEqual({ outcome: "replayed", result: pended.result });
    expect(await pend(account, 5n, { id, key: pendKey })).toEqual({ outcome: "conflict" });
    expect(await post(id, 7n)).toEqual({ outcome: "exceeds_pending", amount: "6" });
    const posted = await post(id, 6n, postKey);
    expect(await post(id, 6n, postKey)).toEqual({ outcome: "replayed", result: posted.result });
    expect(await post(id, 5n, postKey)).toEqual({ outcome: "conflict" });
    expect(await post(id, 6n)).toEqual({ outcome: "already_resolved", state: "posted" });
    expect(await release(id)).toEqual({ outcome: "already_resolved", state: "posted" });
    expect(await post(randomUUID(), 1n)).toEqual({ outcome: "not_found" });
    expect(await release(randomUUID())).toEqual({ outcome: "not_found" });
    expect((await balanceOf(account)).paid).toBe(4n);
  });

  test("given a debit whose time is over, when it is posted, then it is refused, and the expiry frees it once", async () => {
    const account = await funded(10n);
    const id = randomUUID();
    await pend(account, 10n, { id, expiresAt: new Date(Date.now() + 86_400_000) });
    // The clock of the database is the one that counts, so the row is moved instead of the clock.
    await query("alter table pending_transfer disable trigger user");
    await query("update pending_transfer set expires_at = now() - interval '1 second' where id = $1", [id]);
    await query("alter table pending_transfer enable trigger user");
    expect(await post(id, null)).toEqual({ outcome: "expired" });
    const [first, second] = await Promise.all([
      query<{ freed: unknown[] }>("select expire_pending_transfers(10) as freed"),
      query<{ freed: unknown[] }>("select expire_pending_transfers(10) as freed"),
    ]);
    expect([...(first[0]?.freed ?? []), ...(second[0]?.freed ?? [])]).toHaveLength(1);
    expect(await balanceOf(account)).toEqual({ paid: 10n, bonus: 0n, reserved: 0n });
    expect(await release(id)).toEqual({ outcome: "already_resolved", state: "voided" });
  });

  test.each([
    ["update pending_transfer set amount = 1"],
    ["update pending_transfer set state = 'pending'"],
    ["delete from pending_transfer"],
    ["truncate pending_transfer"],
    [
      "insert into pending_transfer (id, account_id, kind, operator_account_id, operator_kind, shard, amount, reason, state, void_reason, resolved_at) select uuid_v7(), account_id, 'dispute', uuid_v7(), 'disputes', 1, 1, 'x', 'voided', 'x', now() from balance limit 1",
    ],
  ])("given the owner, when it tries `%s`, then the trigger refuses", async (text) => {
    const id = randomUUID();
    await pend(await funded(2n), 2n, { id });
    await post(id, null);
    await expect(query(text)).rejects.toMatchObject({ code: "23001" });
  });

  test("given the service's role, when it goes past the doors, then it lacks the right", async () => {
    const app = new pg.Client({
      connectionString: database.urlFor("app", schema),
      options: `-c search_path=${schema}`,
    });
    await app.connect();
    try {
      for (const text of [
        "update pending_transfer set state = 'voided'",
        "insert into pending_transfer (id) values (uuid_v7())",
        "select post_transfer(uuid_v7(), 'grant', uuid_v7(), 'paid', 'credit', 'promo', 1::smallint, 1, 'x')",
        "select move_money('12345678', '\\x00', uuid_v7(), 'grant', uuid_v7(), 'paid', 'credit', 'promo', 1::smallint, 1, 'x')",
        "select end_command('12345678', '\\x00', null, null)",
        "select release_pending(null, 'x')",
      ]) {
        await expect(app.query(text)).rejects.toMatchObject({ code: "42501" });
      }
    } finally {
      await app.end();
    }
  });
});

/** What the machine should hold, kept beside it in plain bigint. */
interface Model {
  paid: bigint;
  bonus: bigint;
  readonly pending: Map<string, bigint>;
}

const step = fc.oneof(
  fc.record({
    op: fc.constantFrom("credit", "debit"),
    bucket: fc.constantFrom<Bucket>("paid", "bonus"),
    amount: fc.bigInt({ min: 1n, max: 60n }),
  }),
  fc.record({ op: fc.constant("pend"), amount: fc.bigInt({ min: 1n, max: 60n }) }),
  fc.record({ op: fc.constantFrom("post", "void"), pick: fc.nat(5), amount: fc.bigInt({ min: 1n, max: 70n }) }),
);
type Step = typeof step extends fc.Arbitrary<infer S> ? S : never;

function promised(model: Model): bigint {
  return [...model.pending.values()].reduce((sum, amount) => sum + amount, 0n);
}

async function applyMove(account: string, model: Model, asked: Extract<Step, { bucket: Bucket }>): Promise<void> {
  const { bucket, amount } = asked;
  const direction = asked.op === "credit" ? "credit" : "debit";
  const allowed = bucket === "paid" ? model.paid - promised(model) : model.bonus;
  const isPossible = direction === "credit" || amount <= allowed;
  const answer = await move({ account, bucket, direction, amount });
  expect(answer.outcome).toBe(isPossible ? "posted" : "insufficient_balance");
  if (isPossible) model[bucket] += direction === "credit" ? amount : -amount;
}

async function applyResolve(model: Model, asked: Extract<Step, { pick: number }>): Promise<void> {
  const [id, pending] = [...model.pending].at(asked.pick % Math.max(1, model.pending.size)) ?? [
    randomUUID(),
    undefined,
  ];
  const answer = asked.op === "post" ? await post(id, asked.amount) : await release(id);
  if (pending === undefined) expect(answer.outcome).toBe("not_found");
  else if (asked.op === "void") expect(answer.outcome).toBe("voided");
  else expect(answer.outcome).toBe(asked.amount <= pending ? "posted" : "exceeds_pending");
  if (answer.outcome === "posted") model.paid -= asked.amount;
  if (answer.outcome === "posted" || answer.outcome === "voided") model.pending.delete(id);
}

async function applyStep(account: string, model: Model, asked: Step): Promise<void> {
  if ("bucket" in asked) return applyMove(account, model, asked);
  if ("pick" in asked) return applyResolve(model, asked);
  const id = randomUUID();
  const isPossible = asked.amount <= model.paid - promised(model);
  const answer = await pend(account, asked.amount, { id });
  expect(answer.outcome).toBe(isPossible ? "pended" : "insufficient_balance");
  if (isPossible) model.pending.set(id, asked.amount);
}

test("given any sequence of moves, pends, posts and voids, when it runs, then the machine agrees with a plain model and the books hold", async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 25 }), async (steps) => {
      const account = fresh();
      const model: Model = { paid: 0n, bonus: 0n, pending: new Map() };
      for (const asked of steps) {
        await applyStep(account, model, asked);
        const now = await balanceOf(account);
        expect(now).toEqual({ paid: model.paid, bonus: model.bonus, reserved: promised(model) });
        expect(now.paid + now.bonus - now.reserved).toBeGreaterThanOrEqual(0n);
      }
    }),
    { numRuns: 40 },
  );
  expect(await brokenInvariants(query)).toEqual([]);
});
