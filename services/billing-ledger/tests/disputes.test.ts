import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { disputeDetail, disputeList, disputeQueue, operatorDisputeDetail } from "@codex/contracts";
import { idToUuid, newId, type RequestId } from "@codex/kernel";
import { balanceOf, fund, startWorld, type World } from "./_util.ts";
import { book, expectSoundBooks, Person, told, tokens } from "./_operations.ts";

const own = "/api/billing/disputes";
const queue = "/api/billing/operator/disputes";
let world: World;
let support: Person;
let finance: Person;
let second: Person;

beforeAll(async () => {
  world = await startWorld({ ADJUSTMENT_FOUR_EYES_ABOVE_MICRO_TOKENS: "500", DISPUTE_WINDOW_DAYS: "3650" });
  [support, finance, second] = [
    await Person.of(world, "support"),
    await Person.of(world, "finance"),
    await Person.of(world, "admin"),
  ];
});
afterAll(() => world.stop());

function body(requestId: RequestId, more: Record<string, unknown> = {}) {
  return { requestId, reason: "no_answer", text: "Nothing came back.", ...more };
}

interface Case {
  readonly user: Person;
  readonly requestId: RequestId;
  readonly disputeId: string;
}

/** A customer with one request of 10 × input + 5, disputed. */
async function disputed(input = 10): Promise<Case> {
  const user = await Person.of(world);
  await fund(world, user.accountId, { paid: 100_000n });
  const [requestId] = await book(world, user.accountId, [{ input, output: 1 }]);
  const answer = await user.post(own, body(requestId!));
  expect(answer.status).toBe(201);
  const { disputeId } = answer.body["dispute"] as { disputeId: string };
  return { user, requestId: requestId!, disputeId };
}

function resolve(who: Person, disputeId: string, ask: Record<string, unknown>, key?: string) {
  return who.post(`${queue}/${disputeId}/resolve`, { reason: "You are right.", ticket: "T-3", ...ask }, key);
}

async function kindsOf(user: Person, disputeId: string): Promise<string[]> {
  return disputeDetail.parse((await user.get(`${own}/${disputeId}`)).body).events.map((event) => event.kind);
}

describe("POST /api/billing/disputes", () => {
  test("201: given an own request, when it is disputed, then it waits until its date, with its timeline", async () => {
    const { user, requestId, disputeId } = await disputed();
    const detail = disputeDetail.parse((await user.get(`${own}/${disputeId}`)).body);
    expect(detail.dispute).toMatchObject({ requestId, reason: "no_answer", state: "open", refunded: null });
    expect(Date.parse(detail.dispute.dueAt) - Date.parse(detail.dispute.openedAt)).toBeGreaterThan(9.9 * 86_400_000);
    expect(detail.events).toMatchObject([{ kind: "opened", by: "user", text: "Nothing came back." }]);
    const list = disputeList.parse((await user.get(own)).body);
    expect(list.disputes).toEqual([detail.dispute]);
  });

  test("409: given an open dispute, when the request is disputed again, then the open one is named; after its end it may be", async () => {
    const { user, requestId, disputeId } = await disputed();
    expect(await user.post(own, body(requestId))).toMatchObject({
      status: 409,
      body: { code: "dispute_open", metadata: { disputeId } },
    });
    expect((await user.post(`${own}/${disputeId}/withdraw`, {})).status).toBe(200);
    expect((await user.post(own, body(requestId))).status).toBe(201);
  });

  test("409: given a request older than the window, when it is disputed, then it is refused", async () => {
    const user = await Person.of(world);
    await fund(world, user.accountId, { paid: 100_000n });
    const [requestId] = await book(world, user.accountId, [{ input: 1, startedAt: "2001-01-01T00:00:00.000Z" }]);
    expect(await user.post(own, body(requestId!))).toMatchObject({
      status: 409,
      body: { code: "dispute_window_closed" },
    });
  });

  test("404: given a foreign request, a missing one and a foreign dispute, when they are named, then the answers are the same", async () => {
    const { requestId, disputeId } = await disputed();
    const stranger = await Person.of(world);
    const answers = [
      await stranger.post(own, body(requestId)),
      await stranger.post(own, body(newId("req"))),
      await stranger.get(`${own}/${disputeId}`),
      await stranger.get(`${own}/${newId("dsp")}`),
      await stranger.get(`${own}/nonsense`),
      await stranger.post(`${own}/${disputeId}/withdraw`, {}),
    ].map(told);
    expect(answers[0]).toMatchObject({ status: 404, body: { code: "not_found" } });
    for (const answer of answers) expect(answer).toEqual(answers[0]);
  });

  test.each([
    ["no text", { text: " " }],
    ["a text beyond its bound", { text: "x".repeat(2_001) }],
    ["an unknown reason", { reason: "bored" }],
    ["an unknown field", { amount: "1" }],
  ])("400: given %s, when it is sent, then it is refused", async (_name, change) => {
    const user = await Person.of(world);
    expect(await user.post(own, body(newId("req"), change))).toMatchObject({
      status: 400,
      body: { code: "invalid_request" },
    });
  });

  test("idempotency: given one key, when it comes again, with other input and at once, then one dispute is opened", async () => {
    const user = await Person.of(world);
    await fund(world, user.accountId, { paid: 100_000n });
    const [requestId] = await book(world, user.accountId, [{ input: 1, output: 1 }]);
    const key = newId("evt");
    const race = await Promise.all(Array.from({ length: 5 }, () => user.post(own, body(requestId!), key)));
    expect(new Set(race.map((answer) => JSON.stringify([answer.status, answer.body]))).size).toBe(1);
    expect(await user.post(own, body(requestId!, { text: "Other." }), key)).toMatchObject({
      status: 409,
      body: { code: "idempotency_key_reused" },
    });
    const rows = await world.query("select from dispute where account_id = $1", [idToUuid(user.accountId)]);
    expect(rows).toHaveLength(1);
  });

  test("409: given as many open disputes as an account may have, when one more is opened, then it is refused", async () => {
    const { user, requestId, disputeId } = await disputed();
    await world.query(
      `insert into dispute (id, account_id, request_id, shard, reason, due_at)
       select uuid_v7(), account_id, uuid_v7(), shard, 'other', now() from dispute, generate_series(1, 100) where id = $1`,
      [idToUuid(disputeId)],
    );
    await user.post(`${own}/${disputeId}/withdraw`, {});
    expect(await user.post(own, body(requestId))).toMatchObject({
      status: 409,
      body: { code: "dispute_limit_reached" },
    });
  });
});

describe("the operators' queue", () => {
  test("200: given disputes, when support reads the queue, then the most urgent is first, the booked facts are there and pages fit", async () => {
    const [late, soon] = [await disputed(), await disputed()];
    await world.query("alter table dispute disable trigger user");
    await world.query("update dispute set due_at = '2020-01-01T00:00:00Z' where id = $1", [idToUuid(soon.disputeId)]);
    await world.query("alter table dispute enable trigger user");
    const page = disputeQueue.parse((await support.get(`${queue}?limit=1`)).body);
    const metrics = await (await fetch(`http://127.0.0.1:${String(world.service.adminPort)}/metrics`)).text();
    expect(metrics).toMatch(/billing_disputes\{state="overdue"[^}]*\} [1-9]/);
    expect(page.disputes).toMatchObject([{ disputeId: soon.disputeId, accountId: soon.user.accountId, overdue: true }]);
    const rest = disputeQueue.parse((await support.get(`${queue}?limit=200&cursor=${page.nextCursor ?? ""}`)).body);
    expect(rest.disputes.map((dispute) => dispute.disputeId)).toContain(late.disputeId);
    expect(rest.disputes.map((dispute) => dispute.disputeId)).not.toContain(soon.disputeId);
    expect(rest.disputes.map((dispute) => dispute.dueAt)).toEqual(
      rest.disputes.map((dispute) => dispute.dueAt).toSorted(),
    );
    const detail = operatorDisputeDetail.parse((await support.get(`${queue}/${soon.disputeId}`)).body);
    expect(detail).toMatchObject({
      usage: { requestId: soon.requestId, charged: 125n },
      events: [{ actorId: soon.user.accountId }],
    });
    expect((await finance.get(`${queue}?cursor=YWJj`)).status).toBe(400);
  });

  test("200: given a dispute, when it is claimed, taken over, written to and given back, then both sides see it, the user without names", async () => {
    const { user, disputeId } = await disputed();
    const claim = (who: Person, takeOver: boolean) => who.post(`${queue}/${disputeId}/claim`, { takeOver });
    expect(await claim(support, false)).toMatchObject({
      status: 200,
      body: { dispute: { assigneeId: support.accountId } },
    });
    expect(await claim(finance, false)).toMatchObject({ status: 409, body: { code: "dispute_assigned" } });
    expect((await claim(finance, true)).status).toBe(200);
    const mine = disputeQueue.parse((await finance.get(`${queue}?assignee=me`)).body).disputes;
    expect(mine.map((dispute) => dispute.disputeId)).toEqual([disputeId]);
    expect((await finance.post(`${queue}/${disputeId}/messages`, { text: "We are looking." })).status).toBe(200);
    expect((await finance.post(`${queue}/${disputeId}/release`, {})).status).toBe(200);
    expect(await kindsOf(user, disputeId)).toEqual(["opened", "claimed", "claimed", "message", "released"]);
    const seen = await user.get(`${own}/${disputeId}`);
    expect(JSON.stringify(seen.body)).not.toContain(finance.accountId);
    const acts = await world.query<{ act: string }>("select act from operator_act where account_id = $1 order by id", [
      idToUuid(user.accountId),
    ]);
    expect(acts.map((row) => row.act)).toEqual([
      "dispute_claimed",
      "dispute_claimed",
      "dispute_message",
      "dispute_released",
    ]);
  });

  test("403: given the own dispute, or a role that may not, when it is handled, then it is refused", async () => {
    const operator = await Person.of(world, "admin");
    await fund(world, operator.accountId, { paid: 100_000n });
    const [requestId] = await book(world, operator.accountId, [{ input: 1, output: 1 }]);
    const { disputeId } = (await operator.post(own, body(requestId!))).body["dispute"] as { disputeId: string };
    const ownAccount = { status: 403, body: { code: "own_account" } };
    expect(await operator.post(`${queue}/${disputeId}/claim`, {})).toMatchObject(ownAccount);
    expect(await operator.post(`${queue}/${disputeId}/messages`, { text: "Hello" })).toMatchObject(ownAccount);
    expect(await resolve(operator, disputeId, { outcome: "refund", amount: "full" })).toMatchObject(ownAccount);
    expect(await resolve(support, disputeId, { outcome: "rejected" })).toMatchObject({
      status: 403,
      body: { code: "forbidden" },
    });
    const user = await Person.of(world);
    expect(await user.get(queue)).toMatchObject({ status: 403, body: { code: "forbidden" } });
  });

  test("404: given no such dispute, when it is read or handled, then the answers are the same", async () => {
    const id = newId("dsp");
    const answers = [
      await support.get(`${queue}/${id}`),
      await support.get(`${queue}/nonsense`),
      await support.post(`${queue}/${id}/claim`, {}),
      await support.post(`${queue}/${id}/release`, {}),
      await support.post(`${queue}/${id}/messages`, { text: "Hello" }),
      await resolve(finance, id, { outcome: "rejected" }),
    ].map(told);
    expect(answers[0]).toMatchObject({ status: 404 });
    for (const answer of answers) expect(answer).toEqual(answers[0]);
  });
});

describe("POST /api/billing/operator/disputes/:disputeId/resolve", () => {
  test.each([
    ["the whole", "full", 125n],
    ["a part", tokens(20n), 20n],
  ])(
    "200: given a dispute, when %s is given back, then it is a transfer of its own kind, on the line and in the timeline",
    async (_name, amount, given) => {
      const { user, requestId, disputeId } = await disputed();
      const answer = await resolve(finance, disputeId, { outcome: "refund", amount });
      expect(answer).toMatchObject({
        status: 200,
        body: { outcome: "refunded", amount: tokens(given), charged: "0.000125" },
      });
      const detail = disputeDetail.parse((await user.get(`${own}/${disputeId}`)).body);
      expect(detail.dispute).toMatchObject({
        state: "refunded",
        refunded: given,
        transferId: answer.body["transferId"],
      });
      expect(detail.events.at(-1)).toMatchObject({
        kind: "refunded",
        by: "operator",
        text: "You are right.",
        amount: given,
      });
      expect((await user.get(`/api/billing/usage/${requestId}`)).body).toMatchObject({ refunded: tokens(given) });
      const rows = await world.query("select kind from transfer where id = $1", [
        idToUuid(String(answer.body["transferId"])),
      ]);
      expect(rows).toEqual([{ kind: "dispute" }]);
      expect(await resolve(finance, disputeId, { outcome: "rejected" })).toMatchObject({
        status: 409,
        body: { code: "dispute_closed", metadata: { state: "refunded" } },
      });
    },
  );

  test("200: given a dispute, when it is rejected, then nothing moves and the user reads why", async () => {
    const { user, disputeId } = await disputed();
    const before = await balanceOf(world, user.accountId);
    expect(await resolve(finance, disputeId, { outcome: "rejected", reason: "It was delivered." })).toMatchObject({
      status: 200,
      body: { outcome: "rejected" },
    });
    expect(await balanceOf(world, user.accountId)).toEqual(before);
    const { dispute, events } = disputeDetail.parse((await user.get(`${own}/${disputeId}`)).body);
    expect([dispute.state, events.at(-1)?.text]).toEqual(["rejected", "It was delivered."]);
  });

  test("409: given a charge that was given back in part, when more than the rest is to be, then it is refused and the dispute stays open", async () => {
    const { user, requestId, disputeId } = await disputed();
    const refundBody = { accountId: user.accountId, amount: tokens(100n), reason: "slow", ticket: "T" };
    expect((await finance.post(`/api/billing/operator/usage/${requestId}/refunds`, refundBody)).status).toBe(201);
    expect(await resolve(finance, disputeId, { outcome: "refund", amount: tokens(26n) })).toMatchObject({
      status: 409,
      body: { code: "refund_exceeds_charge", metadata: { refundable: "0.000025" } },
    });
    expect(await resolve(finance, disputeId, { outcome: "refund", amount: "full" })).toMatchObject({
      status: 200,
      body: { amount: "0.000025" },
    });
  });

  test("idempotency: given one key, when it comes again, with other input and at once, then it is resolved once", async () => {
    const { user, disputeId } = await disputed();
    const key = newId("evt");
    const ask = { outcome: "refund", amount: "full" };
    const race = await Promise.all(Array.from({ length: 5 }, () => resolve(finance, disputeId, ask, key)));
    expect(new Set(race.map((answer) => JSON.stringify([answer.status, answer.body]))).size).toBe(1);
    expect(await resolve(finance, disputeId, { outcome: "rejected" }, key)).toMatchObject({
      status: 409,
      body: { code: "idempotency_key_reused" },
    });
    expect((await balanceOf(world, user.accountId)).paidMicroTokens).toBe(100_000n);
  });

  test("race: given an open dispute, when it is resolved and withdrawn at once, then one of the two happens, whole", async () => {
    for (let round = 0; round < 5; round += 1) {
      const { user, disputeId } = await disputed();
      const [resolved, withdrawn] = await Promise.all([
        resolve(finance, disputeId, { outcome: "refund", amount: "full" }),
        user.post(`${own}/${disputeId}/withdraw`, {}),
      ]);
      expect([resolved.status, withdrawn.status].toSorted()).toEqual([200, 409]);
      const { paidMicroTokens } = await balanceOf(world, user.accountId);
      expect(paidMicroTokens).toBe(resolved.status === 200 ? 100_000n : 99_875n);
      expect((await kindsOf(user, disputeId)).at(-1)).toBe(resolved.status === 200 ? "refunded" : "withdrawn");
    }
  });

  test.each([
    ["an amount of nothing", { outcome: "refund", amount: "0" }],
    ["no amount", { outcome: "refund" }],
    ["an amount of a rejection", { outcome: "rejected", amount: "full" }],
    ["an unknown outcome", { outcome: "later" }],
  ])("400: given %s, when it is sent, then it is refused", async (_name, ask) => {
    expect(await resolve(finance, newId("dsp"), ask)).toMatchObject({ status: 400, body: { code: "invalid_request" } });
  });
});

describe("a dispute above the limit of one operator", () => {
  const approve = (who: Person, proposalId: unknown) =>
    who.post(`/api/billing/operator/proposals/${String(proposalId)}/approve`, { reason: "agreed" });

  test("202: given a proposal, when the second operator approves, then the dispute is refunded and both sides see the way", async () => {
    const { user, disputeId } = await disputed(100);
    const proposed = await resolve(finance, disputeId, { outcome: "refund", amount: "full" });
    expect(proposed).toMatchObject({ status: 202, body: { outcome: "proposed" } });
    expect(await resolve(second, disputeId, { outcome: "rejected" })).toMatchObject({
      status: 409,
      body: { code: "conflict" },
    });
    expect(await approve(finance, proposed.body["proposalId"])).toMatchObject({ status: 403 });
    expect(await approve(second, proposed.body["proposalId"])).toMatchObject({
      status: 200,
      body: { outcome: "approved" },
    });
    expect(await kindsOf(user, disputeId)).toEqual(["opened", "second_review", "refunded"]);
    expect((await balanceOf(world, user.accountId)).paidMicroTokens).toBe(100_000n);
  });

  test("given a proposal that is rejected, when the dispute is resolved otherwise, then it can be", async () => {
    const { user, disputeId } = await disputed(100);
    const { body: proposed } = await resolve(finance, disputeId, { outcome: "refund", amount: "full" });
    await second.post(`/api/billing/operator/proposals/${String(proposed["proposalId"])}/reject`, {
      reason: "too much",
    });
    expect(await resolve(finance, disputeId, { outcome: "refund", amount: tokens(100n) })).toMatchObject({
      status: 200,
    });
    expect(await kindsOf(user, disputeId)).toEqual(["opened", "second_review", "review_ended", "refunded"]);
  });

  test("race: given a proposal, when it is approved and the dispute withdrawn at once, then one of the two happens", async () => {
    for (let round = 0; round < 4; round += 1) {
      const { user, disputeId } = await disputed(100);
      const { body: proposed } = await resolve(finance, disputeId, { outcome: "refund", amount: "full" });
      const answers = await Promise.all([
        approve(second, proposed["proposalId"]),
        user.post(`${own}/${disputeId}/withdraw`, {}),
      ]);
      expect(answers.map((answer) => answer.status).toSorted()).toEqual([200, 409]);
    }
  });
});

test.each([
  "update dispute_event set text = 'x'",
  "delete from dispute_event",
  "truncate dispute_event",
  "update operator_act set reason = 'x'",
  "delete from usage_refund",
  "update dispute set state = 'open'",
  "delete from dispute",
  "update operator_proposal set amount = 1",
  "truncate operator_proposal",
])("given the superuser, when it tries `%s`, then the trigger refuses", async (text) => {
  await expect(world.query(text)).rejects.toMatchObject({ code: expect.stringMatching(/^(23001|0A000)$/) as unknown });
});

test("given all of this, when the books are checked, then they are sound", async () => {
  await expectSoundBooks(world);
});
