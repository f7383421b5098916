import { auditLineList, ownAuditLineList, voucherBatchCreated } from "@codex/contracts";
import { verifyActs, openDb } from "@codex/db";
import { idToUuid, newId } from "@codex/kernel";
import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { schema } from "../src/index.ts";
import { book, expectSoundBooks, Person, tokens } from "./_operations.ts";
import { fund, startWorld, type World } from "./_util.ts";

// SEC-147: what operators do with money, vouchers and prices is one chain, which operators search and of which an owner sees his part.

let world: World;
let finance: Person;
let admin: Person;

beforeAll(async () => {
  world = await startWorld({ ADJUSTMENT_FOUR_EYES_ABOVE_MICRO_TOKENS: "1000" });
  finance = await Person.of(world, "finance");
  admin = await Person.of(world, "admin");
});
afterAll(() => world.stop());

const search = async (query: string) =>
  auditLineList.parse((await admin.get(`/api/billing/operator/audit?${query}`)).body).lines;

describe("given what operators do with the money of an account", () => {
  test("when the log is read, then each act is there with its object, its amount and the balance before and after, and its owner sees it without a name", async () => {
    const owner = await Person.of(world);
    const { accountId } = owner;
    await fund(world, accountId, { paid: 100_000n });
    const adjusted = await finance.post("/api/billing/operator/adjustments", {
      accountId,
      bucket: "paid",
      amount: tokens(700n),
      reason: "goodwill",
      ticket: "T-1",
    });
    const [requestId = ""] = await book(world, accountId, [{ input: 10 }]);
    const refunded = await finance.post(`/api/billing/operator/usage/${requestId}/refunds`, {
      accountId,
      amount: tokens(5n),
      reason: "asked for it",
      ticket: "T-2",
    });
    expect(refunded.status).toBe(201);
    const proposed = await finance.post("/api/billing/operator/adjustments", {
      accountId,
      bucket: "paid",
      amount: tokens(5_000n),
      reason: "a large one",
      ticket: "T-3",
    });
    const { proposalId } = proposed.body;
    await admin.post(`/api/billing/operator/proposals/${String(proposalId)}/reject`, { reason: "too much" });

    const lines = await search(`accountId=${accountId}`);
    expect(lines.map(({ action, actorId, target, reason }) => [action, actorId, target, reason])).toEqual([
      ["proposal_rejected", admin.accountId, proposalId, "too much"],
      ["proposal_made", finance.accountId, proposalId, "a large one"],
      ["refund_posted", finance.accountId, requestId, "asked for it"],
      ["adjustment_posted", finance.accountId, adjusted.body["transferId"], "goodwill"],
    ]);
    expect(lines[3]?.details).toEqual({
      amountMicroTokens: "700",
      ticket: "T-1",
      beforeMicroTokens: { paid: "100000", bonus: "0", held: "0" },
      afterMicroTokens: { paid: "100700", bonus: "0", held: "0" },
    });
    const own = await owner.get("/api/billing/audit");
    const seen = ownAuditLineList.parse(own.body).lines;
    expect(seen.map(({ action, by }) => [action, by])).toEqual(lines.map(({ action }) => [action, "operator"]));
    for (const { accountId: operator } of [finance, admin]) expect(JSON.stringify(own.body)).not.toContain(operator);
    const stranger = await Person.of(world);
    expect(ownAuditLineList.parse((await stranger.get("/api/billing/audit")).body).lines).toEqual([]);
    await expectSoundBooks(world);
  });

  test("when an operation is refused, then there is no line", async () => {
    const accountId = newId("acc");
    const refused = await finance.post("/api/billing/operator/adjustments", {
      accountId,
      bucket: "paid",
      amount: tokens(-1n),
      reason: "takes what is not there",
      ticket: "T-4",
    });
    expect(refused.status).toBe(402);
    expect(await search(`accountId=${accountId}`)).toEqual([]);
  });
});

test("given vouchers and prices, when operators make, approve and revoke them, then each act is in the same chain", async () => {
  const batch = await finance.post("/api/billing/operator/voucher-batches", {
    count: 2,
    amount: tokens(10_000n),
    bucket: "bonus",
    expiresAt: null,
    maxPerAccount: 1,
    note: "",
    reason: "campaign",
  });
  const { batchId } = voucherBatchCreated.parse(batch.body).batch;
  await admin.post(`/api/billing/operator/voucher-batches/${batchId}/revoke`, { reason: "by mistake" });
  const byBatch = (await search("limit=200")).filter(({ target }) => target === batchId);
  expect(byBatch.map(({ action, actorId, details }) => [action, actorId, details])).toEqual([
    ["voucher_batch_revoked", admin.accountId, { vouchers: 2, amountMicroTokens: "10000", bucket: "bonus" }],
    ["voucher_batch_created", finance.accountId, { vouchers: 2, amountMicroTokens: "10000", bucket: "bonus" }],
  ]);

  const [imported] = await search("action=price_version_created");
  expect(imported).toMatchObject({ actorId: null, target: expect.stringMatching(/^prc_/) });

  const accountId = newId("acc");
  await world.query("select set_price_group($1, 'wholesale', $2, 'a large customer')", [
    idToUuid(accountId),
    idToUuid(finance.accountId),
  ]);
  const group = await admin.post(`/api/billing/operator/accounts/${accountId}/price-group`, {
    group: "default",
    reason: "back to the usual",
  });
  expect(group.status).toBe(200);
  expect(await search(`accountId=${accountId}&action=price_group_set`)).toMatchObject([
    { actorId: admin.accountId, target: accountId, details: { before: "wholesale", after: "default" } },
    { actorId: finance.accountId, target: accountId, reason: "a large customer", details: { after: "wholesale" } },
  ]);
});

test("given many operators at once, then the chain holds, and nobody waited for another's money", async () => {
  const accounts = Array.from({ length: 20 }, () => newId("acc"));
  const answers = await Promise.all(
    accounts.map((accountId, index) =>
      (index % 2 === 0 ? finance : admin).post("/api/billing/operator/adjustments", {
        accountId,
        bucket: "paid",
        amount: tokens(10n),
        reason: "all at once",
        ticket: "T-5",
      }),
    ),
  );
  expect(new Set(answers.map(({ status }) => status))).toEqual(new Set([201]));
  const db = openDb({ url: world.database.urlFor("app", schema), schema, applicationName: "test" });
  try {
    expect(await verifyActs(db)).toMatchObject({ broken: undefined });
    await expect(
      db.pool.query("insert into audit_act (id, action, at) values (gen_random_uuid(), 'x', now())"),
    ).rejects.toThrow(/permission denied/);
    await expect(db.pool.query("select audit_operator_act(a) from operator_act a")).rejects.toThrow(
      /permission denied/,
    );
  } finally {
    await db.close();
  }
});

test("401 and 403: given nobody and who may not, then the log is closed", async () => {
  const path = "/api/billing/operator/audit";
  expect((await world.get(path)).status).toBe(401);
  for (const role of ["user", "support", "finance"] as const)
    expect((await (await Person.of(world, role)).get(path)).status).toBe(403);
});
