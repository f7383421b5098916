import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { usageList, usageReceipt } from "@codex/contracts";
import { errorCatalogue } from "@codex/http";
import { idToUuid, newId, type AccountId, type RequestId } from "@codex/kernel";
import { eventually } from "@codex/testkit";
import fc from "fast-check";
import { faultCodes } from "../src/domain/auto-refund.ts";
import { balanceOf, fund, startWorld, type World } from "./_util.ts";
import { book, expectSoundBooks, Person, told, tokens } from "./_operations.ts";

let world: World;
let finance: Person;

beforeAll(async () => {
  world = await startWorld({
    ADJUSTMENT_FOUR_EYES_ABOVE_MICRO_TOKENS: "5000",
    AUTO_REFUND_POLL_MS: "50",
    AUTO_REFUND_EMPTY_COMPLETION: "true",
    AUTO_REFUND_FAILED_IMAGE: "false",
  });
  finance = await Person.of(world, "finance");
});
afterAll(() => world.stop());

async function customer(money: { paid?: bigint; bonus?: bigint } = { paid: 100_000n }): Promise<Person> {
  const person = await Person.of(world);
  await fund(world, person.accountId, money);
  return person;
}

/** 10 × input + 5, by a client that left, which no rule gives back. */
function ended(input: number) {
  return { input, status: "client_closed" } as const;
}

function refund(
  accountId: AccountId,
  requestId: RequestId,
  amount: bigint | "full",
  more: { key?: string; who?: Person } = {},
) {
  const body = { accountId, amount: amount === "full" ? amount : tokens(amount), reason: "slow answer", ticket: "T-2" };
  return (more.who ?? finance).post(`/api/billing/operator/usage/${requestId}/refunds`, body, more.key);
}

async function refundedOf(person: Person, requestId: RequestId): Promise<bigint> {
  return usageReceipt.parse((await person.get(`/api/billing/usage/${requestId}`)).body).refunded;
}

describe("POST /api/billing/operator/usage/:requestId/refunds", () => {
  test("201: given a charge, when a part and then the rest is given back, then line and receipt show it", async () => {
    const person = await customer();
    const [requestId] = await book(world, person.accountId, [ended(10)]);
    expect(await refund(person.accountId, requestId!, 5n)).toMatchObject({
      status: 201,
      body: {
        outcome: "posted",
        amount: "0.000005",
        paid: "0.000005",
        bonus: "0.000000",
        refunded: "0.000005",
        charged: "0.000105",
      },
    });
    expect(await refundedOf(person, requestId!)).toBe(5n);
    expect(await refund(person.accountId, requestId!, "full")).toMatchObject({
      status: 201,
      body: { amount: "0.000100" },
    });
    const [line] = usageList.parse((await person.get("/api/billing/usage")).body).usage;
    expect(line).toMatchObject({ charged: 105n, refunded: 105n });
    expect((await balanceOf(world, person.accountId)).paidMicroTokens).toBe(100_000n);
    const kinds = await world.query(
      "select kind, reason from transfer t join balance b on b.paid_account_id = t.credit_account_id where b.account_id = $1 and kind = 'refund'",
      [idToUuid(person.accountId)],
    );
    expect(kinds).toEqual([
      { kind: "refund", reason: "slow answer" },
      { kind: "refund", reason: "slow answer" },
    ]);
  });

  test("409: given a charge that is given back, when more is to be, then it is refused and says what is left", async () => {
    const person = await customer();
    const [requestId, free] = await book(world, person.accountId, [ended(10), { ...ended(0), costMicroTokens: 0n }]);
    const code = "refund_exceeds_charge";
    expect(await refund(person.accountId, requestId!, 106n)).toMatchObject({
      status: 409,
      body: { code, metadata: { refundable: "0.000105" } },
    });
    await refund(person.accountId, requestId!, 100n);
    expect(await refund(person.accountId, requestId!, 6n)).toMatchObject({
      status: 409,
      body: { code, metadata: { refundable: "0.000005" } },
    });
    await refund(person.accountId, requestId!, 5n);
    expect(await refund(person.accountId, requestId!, "full")).toMatchObject({ status: 409, body: { code } });
    expect(await refund(person.accountId, free!, "full")).toMatchObject({ status: 409, body: { code } });
  });

  test("409 in the database: given the owner of the schema, when a row says more than was charged or is numbered twice, then it is refused", async () => {
    const person = await customer();
    const [requestId] = await book(world, person.accountId, [ended(10)]);
    await refund(person.accountId, requestId!, 100n);
    const row = (number: number, after: number) =>
      world.query(
        `insert into usage_refund (account_id, request_id, number, batch_id, kind, paid_amount, bonus_amount, paid_transfer_id, refunded_after, charged, reason)
         values ($1, $2, $3, 1, 'auto_refund', 6, 0, uuid_v7(), $4, 105, 'x')`,
        [idToUuid(person.accountId), idToUuid(requestId!), number, after],
      );
    await expect(row(2, 106)).rejects.toMatchObject({ constraint: "usage_refund_within_charge" });
    await expect(row(1, 105)).rejects.toMatchObject({ code: "23505" });
  });

  test("race: given two refunds of nearly all of one charge, when they come at once, then one of them is given", async () => {
    const person = await customer();
    const requestIds = await book(
      world,
      person.accountId,
      Array.from({ length: 6 }, () => ended(10)),
    );
    for (const requestId of requestIds) {
      const answers = await Promise.all([
        refund(person.accountId, requestId, 100n),
        refund(person.accountId, requestId, 100n),
      ]);
      expect(answers.map((answer) => answer.status).toSorted()).toEqual([201, 409]);
      expect(await refundedOf(person, requestId)).toBe(100n);
    }
  });

  test("idempotency: given one key, when it comes again, with other input and at once, then the line is given back once", async () => {
    const person = await customer();
    const [requestId] = await book(world, person.accountId, [ended(10)]);
    const key = newId("evt");
    const answers = await Promise.all(
      Array.from({ length: 5 }, () => refund(person.accountId, requestId!, 7n, { key })),
    );
    expect(new Set(answers.map((answer) => JSON.stringify([answer.status, answer.body]))).size).toBe(1);
    expect(answers[0]?.status).toBe(201);
    expect(await refund(person.accountId, requestId!, 8n, { key })).toMatchObject({
      status: 409,
      body: { code: "idempotency_key_reused" },
    });
    expect(await refundedOf(person, requestId!)).toBe(7n);
  });

  test("404: given another account's request, one that does not exist and no id, when they are given back, then the answers are the same", async () => {
    const [person, other] = [await customer(), await customer()];
    const [requestId] = await book(world, person.accountId, [ended(10)]);
    const answers = [
      await refund(other.accountId, requestId!, 1n),
      await refund(person.accountId, newId("req"), 1n),
      await refund(person.accountId, "nonsense" as RequestId, 1n),
    ].map(told);
    expect(answers[0]).toMatchObject({ status: 404, body: { code: "not_found" } });
    expect(answers[1]).toEqual(answers[0]);
    expect(answers[2]).toEqual(answers[0]);
  });

  test("403: given the own request or a role without money, when it is given back, then it is refused", async () => {
    const operator = await Person.of(world, "admin");
    await fund(world, operator.accountId, { paid: 100_000n });
    const [requestId] = await book(world, operator.accountId, [ended(10)]);
    expect(await refund(operator.accountId, requestId!, 1n, { who: operator })).toMatchObject({
      status: 403,
      body: { code: "own_account" },
    });
    const support = await Person.of(world, "support");
    expect(await refund(operator.accountId, requestId!, 1n, { who: support })).toMatchObject({
      status: 403,
      body: { code: "forbidden" },
    });
  });

  test.each([["0"], ["-0.000001"], ["all"], [7]])(
    "400: given the amount %p, when it is sent, then it is refused",
    async (amount) => {
      const body = { accountId: newId("acc"), amount, reason: "because", ticket: "T" };
      expect(await finance.post(`/api/billing/operator/usage/${newId("req")}/refunds`, body)).toMatchObject({
        status: 400,
        body: { code: "invalid_request" },
      });
    },
  );

  test("202: given a refund above the limit, when a second operator approves, then it is given, within what is left by then", async () => {
    const person = await customer();
    const [requestId] = await book(world, person.accountId, [ended(1_000)]);
    const proposed = await refund(person.accountId, requestId!, 10_005n);
    expect(proposed).toMatchObject({ status: 202, body: { outcome: "proposed" } });
    const approve = `/api/billing/operator/proposals/${String(proposed.body["proposalId"])}/approve`;
    const second = await Person.of(world, "finance");
    await refund(person.accountId, requestId!, 1n);
    expect(await second.post(approve, { reason: "is right" })).toMatchObject({
      status: 409,
      body: { code: "refund_exceeds_charge" },
    });
    const smaller = await refund(person.accountId, requestId!, "full");
    const again = `/api/billing/operator/proposals/${String(smaller.body["proposalId"])}/approve`;
    expect(await second.post(again, { reason: "is right" })).toMatchObject({
      status: 200,
      body: { outcome: "approved" },
    });
    expect(await refundedOf(person, requestId!)).toBe(10_005n);
  });
});

describe("the bucket of a refund", () => {
  test("given a batch that took from both, when its lines are given back, then paid gets back what paid gave, and bonus the rest", async () => {
    const person = await customer({ paid: 100_000n, bonus: 100n });
    const [first, second] = await book(world, person.accountId, [ended(10), ended(10)]);
    // 210 charged: 100 of bonus, 110 of paid.
    expect(await refund(person.accountId, first!, "full")).toMatchObject({
      body: { paid: "0.000105", bonus: "0.000000" },
    });
    expect(await refund(person.accountId, second!, "full")).toMatchObject({
      body: { paid: "0.000005", bonus: "0.000100" },
    });
    expect(await balanceOf(world, person.accountId)).toMatchObject({
      paidMicroTokens: 100_000n,
      bonusMicroTokens: 100n,
    });
  });

  test("given any lines and refunds, when they are given back in any order, then no bucket gets back more than it gave and no line more than its charge", async () => {
    const plan = fc.record({
      bonus: fc.bigInt({ min: 0n, max: 400n }),
      inputs: fc.array(fc.integer({ min: 1, max: 20 }), { minLength: 1, maxLength: 3 }),
      refunds: fc.array(fc.record({ pick: fc.nat(2), amount: fc.bigInt({ min: 1n, max: 250n }) }), {
        minLength: 1,
        maxLength: 8,
      }),
    });
    await fc.assert(
      fc.asyncProperty(plan, async ({ bonus, inputs, refunds }) => {
        const person = await customer({ paid: 100_000n, ...(bonus > 0n ? { bonus } : {}) });
        const requestIds = await book(world, person.accountId, inputs.map(ended));
        const left = new Map(requestIds.map((id, index) => [id, BigInt(inputs[index] ?? 0) * 10n + 5n]));
        for (const { pick, amount } of refunds) {
          const requestId = requestIds[pick % requestIds.length]!;
          const rest = left.get(requestId) ?? 0n;
          const answer = await refund(person.accountId, requestId, amount);
          expect(answer.status).toBe(amount <= rest ? 201 : 409);
          if (answer.status === 201) left.set(requestId, rest - amount);
        }
        const now = await balanceOf(world, person.accountId);
        const missing = [...left.values()].reduce((sum, rest) => sum + rest, 0n);
        expect(now.paidMicroTokens + now.bonusMicroTokens).toBe(100_000n + bonus - missing);
        expect(now.paidMicroTokens <= 100_000n && now.bonusMicroTokens <= bonus).toBe(true);
      }),
      { numRuns: 12 },
    );
  });
});

describe("automatic refunds", () => {
  const cut = { input: 10, status: "upstream_cut", errorCode: "stream_interrupted" } as const;

  test("given the error catalogue, when it says what no client brings about, then the rules know the same codes", () => {
    const kinds = ["upstream", "unavailable", "timeout", "internal"];
    const codes = errorCatalogue.filter((entry) => entry.surfaces.includes("v1") && kinds.includes(entry.kind));
    // A session that a client keeps open to its end, or leaves silent, is ended for what the client did.
    const faults = codes.map((entry) => entry.code).filter((code) => code !== "session_expired");
    expect(faults.toSorted()).toEqual([...faultCodes].toSorted());
  });

  async function autoRefunded(accountId: AccountId): Promise<{ reason: string; amount: string }[]> {
    return world.query(
      `select t.reason, t.amount from transfer t join balance b on t.credit_account_id in (b.paid_account_id, b.bonus_account_id)
       where b.account_id = $1 and t.kind = 'auto_refund' order by t.id`,
      [idToUuid(accountId)],
    );
  }

  test("given lines that rules cover and lines that none does, when they are booked, then each covered one is given back once, and the user sees it", async () => {
    const person = await customer();
    const requestIds = await book(world, person.accountId, [
      cut,
      { input: 20 },
      { input: 30, output: 3 },
      { input: 40, status: "client_closed" },
      { input: 50, route: "/v1/images/generations", status: "upstream_error", errorCode: "upstream_error" },
      { input: 60, status: "upstream_cut", errorCode: "key_revoked" },
    ]);
    await eventually(async () => (await refundedOf(person, requestIds[1]!)) > 0n, { what: "the refunds" });
    expect(await autoRefunded(person.accountId)).toEqual([
      { reason: "upstream_error", amount: "105" },
      { reason: "empty_completion", amount: "205" },
    ]);
    const lines = usageList.parse((await person.get("/api/billing/usage")).body).usage;
    expect(lines.toReversed().map((line) => line.refunded)).toEqual([105n, 205n, 0n, 0n, 0n, 0n]);
  });

  test("given a scan that died before it told how far it was, when it begins anew beside a second replica, then nothing is given twice", async () => {
    const person = await customer();
    await book(world, person.accountId, [cut, { input: 20 }]);
    await eventually(async () => (await autoRefunded(person.accountId)).length === 2, { what: "the refunds" });
    const replica = await world.startReplica();
    await world.query("update refund_scan_position set scanned = 0, claimed_until = '-infinity'");
    await eventually(
      async () =>
        (
          await world.query(
            "select from refund_scan_position p join gateway_cursor c using (epoch, partition) where p.scanned < c.contiguous",
          )
        ).length === 0,
      { what: "the second scan" },
    );
    await replica.stop();
    expect(await autoRefunded(person.accountId)).toHaveLength(2);
  });

  test("given a line that an operator gave back in part, when a rule comes to it, then it gives the rest, and nothing after that", async () => {
    const person = await customer();
    const [requestId] = await book(world, person.accountId, [ended(10)]);
    expect(await refund(person.accountId, requestId!, 5n)).toMatchObject({ status: 201 });
    const byRule = async (key: string) =>
      (
        await world.query<{ answer: Record<string, unknown> }>(
          "select auto_refund($1, sha256('x'), $2, $3, 1::smallint, 'upstream_error') as answer",
          [key, idToUuid(person.accountId), idToUuid(requestId!)],
        )
      )[0]?.answer;
    expect(await byRule("auto_refund:1")).toMatchObject({ outcome: "posted", result: { amount: "100" } });
    expect(await byRule("auto_refund:1")).toMatchObject({ outcome: "replayed", result: { amount: "100" } });
    expect(await byRule("auto_refund:2")).toEqual({ outcome: "exceeds_charge", refundable: "0" });
    expect(await refundedOf(person, requestId!)).toBe(105n);
  });
});

test("given all of this, when the books are checked, then they are sound", async () => {
  await expectSoundBooks(world);
});
