import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import {
  balanceChanged,
  problem,
  statementPage,
  subjectOf,
  voucherBatchCreated,
  voucherBatchList,
  voucherBatchResponse,
  voucherRedeemed,
} from "@codex/contracts";
import { idToUuid, newId, type AccountId, type VoucherBatchId } from "@codex/kernel";
import { eventually } from "@codex/testkit";
import { createHash } from "node:crypto";
import pg from "pg";
import { voucherTries } from "../src/app/redeem-voucher.ts";
import { parseVoucherCode } from "../src/domain/voucher-code.ts";
import { brokenInvariants } from "./_invariants.ts";
import { lastEvent, send, withoutRequestId, type PageAnswer } from "./_page.ts";
import { balanceOf, startWorld, type World } from "./_util.ts";

let world: World;
let operator: string;
const operatorId = newId("acc");
const path = "/api/billing/operator/voucher-batches";
const redeemPath = "/api/billing/vouchers/redeem";

beforeAll(async () => {
  world = await startWorld();
  operator = await world.auth.signIn(operatorId, "finance");
});
afterAll(async () => {
  expect(await brokenInvariants((text, values) => world.query(text, values))).toEqual([]);
  await world.stop();
});

const ask = {
  count: 3,
  amount: "2.500000",
  bucket: "bonus",
  expiresAt: null,
  maxPerAccount: 3,
  note: "autumn",
  reason: "autumn campaign",
};

function create(more: object = {}, key: string = newId("evt"), cookie = operator): Promise<PageAnswer> {
  return send(world, "POST", path, cookie, { ...ask, ...more }, { "idempotency-key": key });
}

async function codesOf(more: object = {}): Promise<{ codes: string[]; batchId: VoucherBatchId }> {
  const answer = await create(more);
  expect(answer.status).toBe(201);
  const { batch, codes } = voucherBatchCreated.parse(answer.body);
  return { codes: codes ?? [], batchId: batch.batchId };
}

const redeem = (cookie: string | undefined, code: unknown): Promise<PageAnswer> =>
  send(world, "POST", redeemPath, cookie, { code });

const revoke = (batchId: string, key: string = newId("evt"), reason = "printed twice"): Promise<PageAnswer> =>
  send(world, "POST", `${path}/${batchId}/revoke`, operator, { reason }, { "idempotency-key": key });

const tries = (accountId: AccountId): Promise<{ tries: number }[]> =>
  world.query<{ tries: number }>("select tries from voucher_attempt where account_id = $1", [idToUuid(accountId)]);

describe("POST /api/billing/operator/voucher-batches", () => {
  test("201: given a campaign, when it is made, then its codes are in the answer, and only hashes of them in the database", async () => {
    const answer = await create();
    expect(answer.status).toBe(201);
    const { batch, codes } = voucherBatchCreated.parse(answer.body);
    expect(batch).toMatchObject({ total: 3, redeemed: 0, state: "open", amount: 2_500_000n, createdBy: operatorId });
    expect(new Set(codes).size).toBe(3);
    const rows = await world.query<{ code_hash: string }>(
      "select encode(code_hash, 'hex') as code_hash from voucher where batch_id = $1",
      [idToUuid(batch.batchId)],
    );
    const hashes = (codes ?? []).map((code) =>
      createHash("sha256")
        .update(parseVoucherCode(code) ?? "")
        .digest("hex"),
    );
    expect(rows.map((row) => row.code_hash).toSorted()).toEqual(hashes.toSorted());
    const acts = await world.query("select act, reason from voucher_act where batch_id = $1", [
      idToUuid(batch.batchId),
    ]);
    expect(acts).toEqual([{ act: "created", reason: "autumn campaign" }]);
  });

  test("200: given the same key and input, when it comes again, then the batch is the same and the codes are not told again", async () => {
    const key = newId("evt");
    const first = voucherBatchCreated.parse((await create({}, key)).body);
    const again = await create({}, key);
    expect(again.status).toBe(200);
    expect(voucherBatchCreated.parse(again.body)).toEqual({ batch: first.batch, codes: null });
  });

  test("409: given the same key with other input, when it comes, then it is refused and nothing is made", async () => {
    const key = newId("evt");
    await create({}, key);
    const before = await world.query("select count(*) from voucher_batch");
    const answer = await create({ amount: "2.500001" }, key);
    expect([answer.status, problem.parse(answer.body).code]).toEqual([409, "idempotency_key_reused"]);
    expect(await world.query("select count(*) from voucher_batch")).toEqual(before);
  });

  test("given the same command ten times at once, then one batch is made and one answer has the codes", async () => {
    const key = newId("evt");
    const answers = await Promise.all(Array.from({ length: 10 }, () => create({}, key)));
    const parsed = answers.map((answer) => voucherBatchCreated.parse(answer.body));
    expect(answers.filter(({ status }) => status === 201)).toHaveLength(1);
    expect(new Set(parsed.map(({ batch }) => batch.batchId)).size).toBe(1);
    expect(parsed.filter(({ codes }) => codes !== null)).toHaveLength(1);
  });

  test("given the same key from two operators, then each has a batch: keys are the operator's own", async () => {
    const key = newId("evt");
    const other = await world.auth.signIn(newId("acc"), "admin");
    const [one, two] = [await create({}, key), await create({}, key, other)];
    expect([one.status, two.status]).toEqual([201, 201]);
  });

  test.each([
    ["no amount", { amount: "0.000000" }, "/amount"],
    ["a negative amount", { amount: "-1.000000" }, "/amount"],
    ["an amount with seven digits", { amount: "1.0000001" }, "/amount"],
    ["too many codes", { count: 1_001 }, "/count"],
    ["no codes", { count: 0 }, "/count"],
    ["a batch worth more than one may be", { amount: "1000000000.000000", count: 2 }, "/count"],
    ["another bucket", { bucket: "gold" }, "/bucket"],
    ["no reason", { reason: "  " }, "/reason"],
    ["an unknown field", { color: "red" }, "/color"],
  ])("400: given %s, when a batch is asked for, then the field is named", async (_name, more, pointer) => {
    const answer = await create(more);
    expect(answer.status).toBe(400);
    expect(problem.parse(answer.body).errors?.map((error) => error.pointer)).toContain(pointer);
  });

  test("400: given no Idempotency-Key, when a batch is asked for, then it is refused", async () => {
    expect((await send(world, "POST", path, operator, ask)).status).toBe(400);
  });

  test("401 and 403: given nobody, a user and a supporter, when they ask, then they are refused", async () => {
    const support = await world.auth.signIn(newId("acc"), "support");
    const user = await world.auth.signIn(newId("acc"));
    expect((await send(world, "POST", path, undefined, ask)).status).toBe(401);
    for (const cookie of [support, user]) {
      expect(await create({}, newId("evt"), cookie)).toMatchObject({ status: 403, body: { code: "forbidden" } });
      expect((await world.get(path, cookie)).status).toBe(403);
    }
  });
});

describe("GET /api/billing/operator/voucher-batches", () => {
  test("200: given batches, when they are listed, then the newest is first, each with its counts and state, page by page", async () => {
    const expired = await codesOf({ expiresAt: "2026-01-01T00:00:00.000Z" });
    const { codes, batchId } = await codesOf();
    await redeem(await world.auth.signIn(newId("acc")), codes[0]);
    const first = voucherBatchList.parse((await world.get(`${path}?limit=1`, operator)).body);
    expect(first.batches).toMatchObject([{ batchId, redeemed: 1, total: 3, state: "open" }]);
    const next = voucherBatchList.parse(
      (await world.get(`${path}?limit=1&cursor=${first.nextCursor ?? ""}`, operator)).body,
    );
    expect(next.batches).toMatchObject([{ batchId: expired.batchId, redeemed: 0, state: "expired" }]);
    expect(await world.get(`${path}?cursor=nonsense`, operator)).toMatchObject({
      status: 400,
      body: { code: "invalid_cursor" },
    });
  });
});

describe("POST /api/billing/operator/voucher-batches/:batchId/revoke", () => {
  test("200: given a batch with a redeemed code, when it is revoked, then the others are worth nothing and the redeemed one stays", async () => {
    const { codes, batchId } = await codesOf();
    const winner = newId("acc");
    const cookie = await world.auth.signIn(winner);
    await redeem(cookie, codes[0]);
    const key = newId("evt");
    const answer = await revoke(batchId, key);
    expect(answer.status).toBe(200);
    expect(voucherBatchResponse.parse(answer.body).batch).toMatchObject({ batchId, state: "revoked", redeemed: 1 });
    expect((await redeem(cookie, codes[1])).status).toBe(404);
    expect(await redeem(cookie, codes[0])).toMatchObject({ status: 200, body: { replayed: true } });
    expect((await balanceOf(world, winner)).bonusMicroTokens).toBe(2_500_000n);
    // The three cases of the key, and a second revocation.
    expect((await revoke(batchId, key)).status).toBe(200);
    expect(await revoke(batchId, key, "another reason")).toMatchObject({
      status: 409,
      body: { code: "idempotency_key_reused" },
    });
    expect(await revoke(batchId)).toMatchObject({ status: 409, body: { code: "conflict" } });
  });

  test("404: given a batch that does not exist, when it is revoked, then it is refused", async () => {
    expect(await revoke(newId("vcb"))).toMatchObject({ status: 404, body: { code: "not_found" } });
    expect((await revoke("nonsense")).status).toBe(404);
  });
});

describe("POST /api/billing/vouchers/redeem", () => {
  test.each([
    ["bonus", "promo"],
    ["paid", "payments_clearing"],
  ])(
    "200: given a %s voucher, when it is redeemed, then the money comes from %s, and the statement and the event tell",
    async (bucket, source) => {
      const { codes } = await codesOf({ bucket });
      const accountId = newId("acc");
      const cookie = await world.auth.signIn(accountId);
      const answer = await redeem(cookie, ` ${(codes[0] ?? "").toLowerCase().replaceAll("-", " ")} `);
      expect(answer.status).toBe(200);
      const redeemed = voucherRedeemed.parse(answer.body);
      expect(redeemed).toMatchObject({ bucket, amount: 2_500_000n, replayed: false });
      const balance = await balanceOf(world, accountId);
      expect([balance.paidMicroTokens, balance.bonusMicroTokens]).toEqual(
        bucket === "paid" ? [2_500_000n, 0n] : [0n, 2_500_000n],
      );
      const [transfer] = await world.query(
        `select t.kind, t.amount, a.kind as source from transfer t join ledger_account a on a.id = t.debit_account_id where t.id = $1`,
        [idToUuid(redeemed.transferId)],
      );
      expect(transfer).toEqual({ kind: "voucher", amount: "2500000", source });
      const statement = statementPage.parse((await world.get("/api/billing/statement", cookie)).body);
      expect(statement.lines).toMatchObject([{ kind: "voucher", bucket, amount: 2_500_000n }]);
      const event = await eventually(() => lastEvent(world, subjectOf(balanceChanged.pattern, { accountId })), {
        what: "balance.changed",
      });
      expect(event).toMatchObject({ data: { accountId, availableMicroTokens: "2500000" } });
    },
  );

  test("200: given the account that has redeemed it, when the code comes again, then the answer is the same, marked, and nothing moves", async () => {
    const { codes } = await codesOf();
    const accountId = newId("acc");
    const cookie = await world.auth.signIn(accountId);
    const first = (await redeem(cookie, codes[0])).body;
    const again = await redeem(cookie, codes[0]);
    expect(again.status).toBe(200);
    expect(again.body).toEqual({ ...first, replayed: true });
    expect((await balanceOf(world, accountId)).bonusMicroTokens).toBe(2_500_000n);
  });

  test("given one code and twenty accounts at once, then one gets the money and the others the answer of an unknown code", async () => {
    const { codes } = await codesOf();
    const accounts = Array.from({ length: 20 }, () => newId("acc"));
    const cookies = await Promise.all(accounts.map((accountId) => world.auth.signIn(accountId)));
    const answers = await Promise.all(cookies.map((cookie) => redeem(cookie, codes[0])));
    expect(answers.filter(({ status }) => status === 200)).toHaveLength(1);
    const unknown = withoutRequestId(await redeem(cookies[0], "CX-00000-00000-00000-00000-00000"));
    const losers = answers.filter(({ status }) => status !== 200).map(withoutRequestId);
    expect(new Set(losers)).toEqual(new Set([unknown]));
    const balances = await Promise.all(accounts.map((accountId) => balanceOf(world, accountId)));
    expect(balances.reduce((sum, balance) => sum + balance.bonusMicroTokens, 0n)).toBe(2_500_000n);
  });

  test("given one account and the same code ten times at once, then it is credited once and every answer names the same transfer", async () => {
    const { codes } = await codesOf();
    const accountId = newId("acc");
    const cookie = await world.auth.signIn(accountId);
    const answers = await Promise.all(Array.from({ length: 10 }, () => redeem(cookie, codes[0])));
    const parsed = answers.map((answer) => voucherRedeemed.parse(answer.body));
    expect(new Set(parsed.map(({ transferId }) => transferId)).size).toBe(1);
    expect(parsed.filter(({ replayed }) => !replayed)).toHaveLength(1);
    expect((await balanceOf(world, accountId)).bonusMicroTokens).toBe(2_500_000n);
    expect(await tries(accountId)).toEqual([{ tries: 0 }]);
  });

  test("404: given codes that are unknown, mistyped, empty, expired, revoked, somebody else's or one's own making, then every answer is the same bytes", async () => {
    const used = await codesOf();
    await redeem(await world.auth.signIn(newId("acc")), used.codes[0]);
    const expired = await codesOf({ expiresAt: "2026-01-01T00:00:00.000Z" });
    const revoked = await codesOf();
    await revoke(revoked.batchId);
    const accountId = newId("acc");
    const cookie = await world.auth.signIn(accountId);
    const fresh = (await codesOf()).codes[0] ?? "";
    const answers = [
      await redeem(cookie, "CX-00000-00000-00000-00000-00000"),
      await redeem(
        cookie,
        fresh.replace(/.$/, (letter) => (letter === "0" ? "1" : "0")),
      ),
      await redeem(cookie, ""),
      await redeem(cookie, "x".repeat(200)),
      await redeem(cookie, "' or 1=1 --"),
      await redeem(cookie, used.codes[0]),
      await redeem(cookie, expired.codes[0]),
      await redeem(cookie, revoked.codes[0]),
      await redeem(operator, fresh),
    ];
    expect(answers[0]).toMatchObject({ status: 404, body: { code: "voucher_invalid" } });
    expect(new Set(answers.map(withoutRequestId)).size).toBe(1);
    expect(await tries(accountId)).toEqual([{ tries: 8 }]);
    expect((await balanceOf(world, accountId)).availableMicroTokens).toBe(0n);
  });

  test("409: given an account that has as many of a batch as it may, when it brings another, then it is told so and the code stays good", async () => {
    const { codes } = await codesOf({ maxPerAccount: 1 });
    const cookie = await world.auth.signIn(newId("acc"));
    const both = await Promise.all([redeem(cookie, codes[0]), redeem(cookie, codes[1])]);
    expect(both.map(({ status }) => status).toSorted()).toEqual([200, 409]);
    expect(both.find(({ status }) => status === 409)?.body).toMatchObject({ code: "voucher_limit_reached" });
    const left = both[0].status === 200 ? codes[1] : codes[0];
    expect((await redeem(await world.auth.signIn(newId("acc")), left)).status).toBe(200);
  });

  test("429: given as many bad codes as the window allows, also at once, when a good one comes, then it waits; others do not", async () => {
    const { codes } = await codesOf();
    const accountId = newId("acc");
    const cookie = await world.auth.signIn(accountId);
    const answers = await Promise.all(
      Array.from({ length: voucherTries.triesMax + 5 }, (_, index) => redeem(cookie, `bad ${String(index)}`)),
    );
    expect(answers.filter(({ status }) => status === 404)).toHaveLength(voucherTries.triesMax);
    expect(answers.filter(({ status }) => status === 429)).toHaveLength(5);
    const refused = await redeem(cookie, codes[0]);
    expect(refused).toMatchObject({ status: 429, body: { code: "too_many_attempts" } });
    const wait = Number(refused.headers.get("retry-after"));
    expect(wait).toBeGreaterThan(voucherTries.windowSeconds - 120);
    expect(wait).toBeLessThanOrEqual(voucherTries.windowSeconds);
    expect((await redeem(await world.auth.signIn(newId("acc")), codes[1])).status).toBe(200);
    // The window ends.
    await world.query("update voucher_attempt set window_start = now() - interval '2 hours' where account_id = $1", [
      idToUuid(accountId),
    ]);
    expect((await redeem(cookie, codes[0])).status).toBe(200);
  });

  test.each([
    ["no code", {}],
    ["a number", { code: 5 }],
    ["a text beyond any code", { code: "x".repeat(201) }],
    ["another field", { code: "x", amount: "9" }],
  ])("400: given %s, when it is redeemed, then it is refused", async (_name, body) => {
    const answer = await send(world, "POST", redeemPath, await world.auth.signIn(newId("acc")), body);
    expect([answer.status, problem.parse(answer.body).code]).toEqual([400, "invalid_request"]);
  });

  test("401 and 403: given no session, or a page that is not ours, when a code comes, then it is refused", async () => {
    expect((await redeem(undefined, "x")).status).toBe(401);
    const cookie = await world.auth.signIn(newId("acc"));
    const foreign = await send(world, "POST", redeemPath, cookie, { code: "x" }, { "sec-fetch-site": "cross-site" });
    expect(foreign).toMatchObject({ status: 403, body: { code: "csrf_rejected" } });
  });
});

describe("the tables of vouchers", () => {
  test.each([
    ["update voucher set state = 'redeemed'"],
    ["insert into voucher (code_hash, batch_id) select code_hash, batch_id from voucher"],
    ["update voucher_batch set amount = 5"],
    ["delete from voucher_act"],
    ["update voucher_attempt set tries = 0"],
  ])("given the service's role, when it tries `%s`, then it lacks the right", async (statement) => {
    const app = new pg.Client({
      connectionString: world.database.urlFor("app", "billing"),
      options: "-c search_path=billing",
    });
    await app.connect();
    try {
      await expect(app.query(statement)).rejects.toMatchObject({ code: "42501" });
    } finally {
      await app.end();
    }
  });

  test.each([
    ["update voucher set redeemed_by = uuid_v7() where state = 'redeemed'"],
    ["update voucher set batch_id = uuid_v7()"],
    ["delete from voucher"],
    ["update voucher_batch set amount = amount + 1"],
    ["update voucher_act set reason = 'other'"],
  ])("given the owner, when it tries `%s`, then a trigger refuses", async (statement) => {
    const owner = new pg.Client({
      connectionString: world.database.urlFor("owner", "billing"),
      options: "-c search_path=billing",
    });
    await owner.connect();
    try {
      await expect(owner.query(statement)).rejects.toMatchObject({ code: "23001" });
    } finally {
      await owner.end();
    }
  });
});
