import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { adjustmentPreview, operatorActList, proposalList } from "@codex/contracts";
import { idToUuid, newId, type AccountId } from "@codex/kernel";
import { eventually } from "@codex/testkit";
import fc from "fast-check";
import { debitable } from "../src/domain/adjustment.ts";
import { balanceOf, fund, startWorld, Worker, type World } from "./_util.ts";
import { expectSoundBooks, Person, told, tokens } from "./_operations.ts";

const path = "/api/billing/operator/adjustments";
let world: World;
let finance: Person;
let second: Person;

beforeAll(async () => {
  world = await startWorld({ ADJUSTMENT_FOUR_EYES_ABOVE_MICRO_TOKENS: "1000", EXPIRY_POLL_MS: "50" });
  finance = await Person.of(world, "finance");
  second = await Person.of(world, "admin");
});
afterAll(() => world.stop());

function adjustment(accountId: AccountId, amount: bigint, more: Record<string, unknown> = {}) {
  return { accountId, bucket: "paid", amount: tokens(amount), reason: "goodwill", ticket: "T-1", ...more };
}

async function propose(accountId: AccountId, amount: bigint, more: Record<string, unknown> = {}): Promise<string> {
  const answer = await finance.post(path, adjustment(accountId, amount, more));
  expect(answer.status).toBe(202);
  return String(answer.body["proposalId"]);
}

function decide(who: Person, proposalId: string, word: "approve" | "reject", key?: string) {
  return who.post(`/api/billing/operator/proposals/${proposalId}/${word}`, { reason: "looked at it" }, key);
}

describe("POST /api/billing/operator/adjustments", () => {
  test("201: given an amount within the limit, when it is adjusted, then money, act and event are there", async () => {
    const accountId = newId("acc");
    const answer = await finance.post(path, adjustment(accountId, 700n));
    expect(answer).toMatchObject({
      status: 201,
      body: { outcome: "posted", before: { paid: "0.000000" }, after: { paid: "0.000700", held: "0.000000" } },
    });
    expect((await balanceOf(world, accountId)).paidMicroTokens).toBe(700n);
    const acts = operatorActList.parse((await finance.get(`/api/billing/operator/acts?accountId=${accountId}`)).body);
    expect(acts.acts).toMatchObject([
      { actorId: finance.accountId, act: "adjustment_posted", amount: 700n, reason: "goodwill", ticket: "T-1" },
    ]);
    expect(acts.acts[0]).toMatchObject({
      target: answer.body["transferId"],
      before: { paid: 0n },
      after: { paid: 700n },
    });
    const transfers = await world.query("select kind, reason from transfer where id = $1", [
      idToUuid(String(answer.body["transferId"])),
    ]);
    expect(transfers).toEqual([{ kind: "adjustment", reason: "goodwill" }]);
  });

  test("402: given reserved money, when more than available is to be taken, then nothing moves and the answer says how much could", async () => {
    const accountId = newId("acc");
    await fund(world, accountId, { paid: 900n, bonus: 50n });
    await (await Worker.open(world)).lease(accountId, 500n);
    const refused = await finance.post(path, adjustment(accountId, -451n));
    expect(refused).toMatchObject({
      status: 402,
      body: { code: "insufficient_balance", metadata: { debitable: "0.000450" } },
    });
    expect(await finance.post(path, adjustment(accountId, -450n))).toMatchObject({ status: 201 });
    expect((await balanceOf(world, accountId)).availableMicroTokens).toBe(0n);
  });

  test("403: given the own account, when an operator adjusts it, then it is refused, and the database would refuse it too", async () => {
    const answer = await finance.post(path, adjustment(finance.accountId, 5n));
    expect(answer).toMatchObject({ status: 403, body: { code: "own_account" } });
    const own = idToUuid(finance.accountId);
    await expect(
      world.query(
        "insert into operator_act (actor, act, account_id, target, reason) values ($1, 'refund_posted', $1, 'x', 'x')",
        [own],
      ),
    ).rejects.toMatchObject({ constraint: "operator_act_not_own_account" });
  });

  test.each(["user", "support"] as const)(
    "403: given the role %s, when it adjusts, then it is refused",
    async (role) => {
      const person = await Person.of(world, role);
      expect(await person.post(path, adjustment(newId("acc"), 5n))).toMatchObject({
        status: 403,
        body: { code: "forbidden" },
      });
    },
  );

  test("401: given nobody, when an adjustment is sent, then it is refused", async () => {
    const response = await fetch(`${world.service.httpUrl ?? ""}${path}`, { method: "POST" });
    expect(response.status).toBe(401);
  });

  test.each([
    ["zero", { amount: "0" }],
    ["more than an operation may move", { amount: "1000000000.000001" }],
    ["a float", { amount: 1.5 }],
    ["seven fraction digits", { amount: "0.0000001" }],
    ["no reason", { reason: " " }],
    ["no ticket", { ticket: "" }],
    ["an unknown bucket", { bucket: "gift" }],
    ["an unknown field", { approve: true }],
  ])("400: given %s, when it is sent, then it is refused", async (_name, change) => {
    const answer = await finance.post(path, adjustment(newId("acc"), 5n, change));
    expect(answer).toMatchObject({ status: 400, body: { code: "invalid_request" } });
  });

  test.each([[null], ["short"], ["white space"], ["x".repeat(129)]])(
    "400: given the Idempotency-Key %p, when it is sent, then it is refused",
    async (key) => {
      const answer = await finance.post(path, adjustment(newId("acc"), 5n), key);
      expect(answer).toMatchObject({ status: 400, body: { code: "invalid_request" } });
    },
  );

  test("idempotency: given one key, when it comes again, with other input, from another operator and eight times at once, then each case is as it must be", async () => {
    const accountId = newId("acc");
    const key = newId("evt");
    const first = await finance.post(path, adjustment(accountId, 10n), key);
    const again = await finance.post(path, adjustment(accountId, 10n), key);
    expect(again.body).toEqual(first.body);
    expect([first.headers.get("idempotency-replayed"), again.headers.get("idempotency-replayed")]).toEqual([
      null,
      "true",
    ]);
    expect(await finance.post(path, adjustment(accountId, 11n), key)).toMatchObject({
      status: 409,
      body: { code: "idempotency_key_reused" },
    });
    expect(await second.post(path, adjustment(accountId, 10n), key)).toMatchObject({ status: 201 });
    const raceKey = newId("evt");
    const race = await Promise.all(
      Array.from({ length: 8 }, () => finance.post(path, adjustment(accountId, 3n), raceKey)),
    );
    expect(new Set(race.map((answer) => JSON.stringify(answer.body))).size).toBe(1);
    expect(race.filter((answer) => answer.headers.get("idempotency-replayed") === null)).toHaveLength(1);
    expect((await balanceOf(world, accountId)).paidMicroTokens).toBe(23n);
  });

  test("202: given small amounts of one operator, when together they pass the limit within a day, then the last becomes a proposal", async () => {
    const accountId = newId("acc");
    expect((await finance.post(path, adjustment(accountId, 600n))).status).toBe(201);
    expect((await finance.post(path, adjustment(accountId, -500n))).status).toBe(202);
    expect((await second.post(path, adjustment(accountId, -500n))).status).toBe(201);
    expect((await balanceOf(world, accountId)).paidMicroTokens).toBe(100n);
  });

  test("race: given two adjustments of one operator, when together they pass the limit and come at once, then one becomes a proposal", async () => {
    for (let round = 0; round < 4; round += 1) {
      const accountId = newId("acc");
      const ask = () => finance.post(path, adjustment(accountId, 600n));
      const answers = await Promise.all([ask(), ask()]);
      expect(answers.map((answer) => answer.status).toSorted()).toEqual([201, 202]);
      expect((await balanceOf(world, accountId)).paidMicroTokens).toBe(600n);
    }
  });
});

describe("POST /api/billing/operator/adjustments/preview", () => {
  test("200: given each kind of adjustment, when it is previewed, then the answer is what would happen, and nothing is written", async () => {
    const accountId = newId("acc");
    await fund(world, accountId, { paid: 500n });
    const preview = async (who: Person, body: unknown) =>
      adjustmentPreview.parse((await who.post(`${path}/preview`, body, null)).body);
    expect(await preview(finance, adjustment(accountId, -200n))).toEqual({
      before: { paid: 500n, bonus: 0n, held: 0n },
      after: { paid: 300n, bonus: 0n, held: 0n },
      needsSecondOperator: false,
      refusal: null,
    });
    expect(await preview(finance, adjustment(accountId, 1_001n))).toMatchObject({
      needsSecondOperator: true,
      refusal: null,
    });
    expect(await preview(finance, adjustment(accountId, -501n))).toMatchObject({ refusal: "insufficient_balance" });
    expect(await preview(finance, adjustment(finance.accountId, 1n))).toMatchObject({ refusal: "own_account" });
    expect((await balanceOf(world, accountId)).paidMicroTokens).toBe(500n);
    expect(await world.query("select from operator_act where account_id = $1", [idToUuid(accountId)])).toEqual([]);
  });

  test("given any balance, lease and pending debit, when both sides say what can be taken, then SQL and the domain agree", async () => {
    const worker = await Worker.open(world);
    const amount = fc.bigInt({ min: 0n, max: 60n });
    await fc.assert(
      fc.asyncProperty(
        amount,
        amount,
        amount,
        amount,
        fc.constantFrom("paid", "bonus"),
        async (paid, bonus, pending, lease, bucket) => {
          const accountId = newId("acc");
          await fund(world, accountId, { paid: paid + 1n, ...(bonus > 0n ? { bonus } : {}) });
          if (pending > 0n) {
            await world.query(
              "select pend_transfer($1, sha256('x'), uuid_v7(), 'dispute', $2, 'disputes', 1::smallint, $3, 'test', null)",
              [newId("evt"), idToUuid(accountId), pending.toString()],
            );
          }
          await worker.ask(accountId, lease);
          const [row] = await world.query<{ paid: string; bonus: string; held: string; pending: string; sql: string }>(
            `select paid, bonus, reserved as held, debitable(b, $2) as sql,
             (select coalesce(sum(amount), 0) from pending_transfer p where p.account_id = b.account_id) as pending
           from balance b where account_id = $1`,
            [idToUuid(accountId), bucket],
          );
          const sides = {
            paid: BigInt(row?.paid ?? 0),
            bonus: BigInt(row?.bonus ?? 0),
            held: BigInt(row?.held ?? 0),
            pending: BigInt(row?.pending ?? 0),
          };
          expect(debitable(sides, bucket)).toBe(BigInt(row?.sql ?? -1));
        },
      ),
      { numRuns: 25 },
    );
  });
});

describe("proposals", () => {
  test("200: given a proposal, when another operator approves, then the money moves once, and the list tells both names", async () => {
    const accountId = newId("acc");
    const proposalId = await propose(accountId, 5_000n, { bucket: "bonus" });
    expect((await balanceOf(world, accountId)).bonusMicroTokens).toBe(0n);
    const key = newId("evt");
    const approved = await decide(second, proposalId, "approve", key);
    expect(approved).toMatchObject({ status: 200, body: { outcome: "approved", proposalId } });
    expect((await decide(second, proposalId, "approve", key)).body).toEqual(approved.body);
    expect(await decide(second, proposalId, "reject", key)).toMatchObject({
      status: 409,
      body: { code: "idempotency_key_reused" },
    });
    expect(await decide(second, proposalId, "approve")).toMatchObject({
      status: 409,
      body: { code: "proposal_decided", metadata: { state: "approved" } },
    });
    expect((await balanceOf(world, accountId)).bonusMicroTokens).toBe(5_000n);
    const list = proposalList.parse((await finance.get("/api/billing/operator/proposals?state=approved")).body);
    expect(list.proposals[0]).toMatchObject({ proposalId, makerId: finance.accountId, deciderId: second.accountId });
  });

  test("200: given a proposal, when it is rejected, then nothing moves and nobody can approve it any more", async () => {
    const accountId = newId("acc");
    const proposalId = await propose(accountId, 5_000n);
    expect(await decide(second, proposalId, "reject")).toMatchObject({ status: 200, body: { outcome: "rejected" } });
    expect((await decide(second, proposalId, "approve")).status).toBe(409);
    expect((await balanceOf(world, accountId)).paidMicroTokens).toBe(0n);
  });

  test("403: given a proposal, when its maker or the owner of the account decides, then it is refused, in the database too", async () => {
    const owner = await Person.of(world, "admin");
    const proposalId = await propose(owner.accountId, 5_000n);
    expect(await decide(finance, proposalId, "approve")).toMatchObject({
      status: 403,
      body: { code: "second_operator_required" },
    });
    expect(await decide(finance, proposalId, "reject")).toMatchObject({
      status: 403,
      body: { code: "second_operator_required" },
    });
    expect(await decide(owner, proposalId, "approve")).toMatchObject({ status: 403, body: { code: "own_account" } });
    const end = "update operator_proposal set state = 'rejected', decided_at = now(), decider = $2 where id = $1";
    for (const [who, constraint] of [
      [finance, "operator_proposal_four_eyes"],
      [owner, "operator_proposal_not_own_account"],
    ] as const) {
      await expect(world.query(end, [idToUuid(proposalId), idToUuid(who.accountId)])).rejects.toMatchObject({
        constraint,
      });
    }
  });

  test("402: given money that was spent since, when a taking is approved, then it is refused and the proposal still stands", async () => {
    const accountId = newId("acc");
    await fund(world, accountId, { paid: 2_000n });
    const proposalId = await propose(accountId, -2_000n);
    expect((await second.post(path, adjustment(accountId, -1n))).status).toBe(201);
    expect(await decide(second, proposalId, "approve")).toMatchObject({ status: 402 });
    await fund(world, accountId, { paid: 1n });
    expect(await decide(second, proposalId, "approve")).toMatchObject({ status: 200 });
    expect((await balanceOf(world, accountId)).paidMicroTokens).toBe(0n);
  });

  test("404: given no such proposal and no id at all, when it is decided, then the answers are the same", async () => {
    const [missing, nonsense] = [
      await decide(second, newId("ppl"), "approve"),
      await decide(second, "nonsense", "approve"),
    ];
    expect(missing.status).toBe(404);
    expect(told(nonsense)).toEqual(told(missing));
  });

  test("race: given two operators, when both approve at once, then one does it", async () => {
    const third = await Person.of(world, "finance");
    for (let round = 0; round < 4; round += 1) {
      const accountId = newId("acc");
      const proposalId = await propose(accountId, 5_000n);
      const answers = await Promise.all([decide(second, proposalId, "approve"), decide(third, proposalId, "approve")]);
      expect(answers.map((answer) => answer.status).toSorted()).toEqual([200, 409]);
      expect((await balanceOf(world, accountId)).paidMicroTokens).toBe(5_000n);
    }
  });

  test("given a proposal whose time is over, when it is approved, then it is refused, and the job ends it", async () => {
    const proposalId = await propose(newId("acc"), 5_000n);
    await world.query("alter table operator_proposal disable trigger user");
    await world.query("update operator_proposal set expires_at = now() where id = $1", [idToUuid(proposalId)]);
    await world.query("alter table operator_proposal enable trigger user");
    expect(await decide(second, proposalId, "approve")).toMatchObject({
      status: 409,
      body: { code: "proposal_decided", metadata: { state: "expired" } },
    });
    await eventually(
      async () =>
        (await world.query("select from operator_proposal where id = $1 and state = 'expired'", [idToUuid(proposalId)]))
          .length === 1,
      { what: "the end of the proposal" },
    );
  });
});

describe("lists", () => {
  test.each(["proposals", "acts"])(
    "200: given pages of one, when the cursor of %s is followed, then nothing comes twice",
    async (name) => {
      const seen: unknown[] = [];
      let cursor: unknown = null;
      do {
        const more: string = typeof cursor === "string" ? `&cursor=${cursor}` : "";
        const page = await finance.get(`/api/billing/operator/${name}?limit=1${more}`);
        expect(page.status).toBe(200);
        seen.push(
          ...(page.body[name] as { proposalId?: string; actId?: string }[]).map(
            (item) => item.proposalId ?? item.actId,
          ),
        );
        cursor = page.body["nextCursor"];
      } while (cursor !== null);
      expect(new Set(seen).size).toBe(seen.length);
      expect(seen.length).toBeGreaterThan(3);
      expect(await finance.get(`/api/billing/operator/${name}?cursor=YWJj`)).toMatchObject({
        status: 400,
        body: { code: "invalid_cursor" },
      });
    },
  );
});

test("given all of this, when the books are checked, then they are sound", async () => {
  await expectSoundBooks(world);
});
