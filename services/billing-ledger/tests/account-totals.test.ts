import { accountTotalsGet, balanceGet } from "@codex/contracts";
import { idToUuid, newId, type AccountId } from "@codex/kernel";
import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { book, expectSoundBooks, Person, tokens } from "./_operations.ts";
import { fund, startWorld, type World } from "./_util.ts";

// What an account got and what it spent in all: never more or less than the balance leaves over.

let world: World;
let finance: Person;

beforeAll(async () => {
  world = await startWorld();
  finance = await Person.of(world, "finance");
});
afterAll(() => world.stop());

async function totalsOf(accountId: AccountId): Promise<{ credited: bigint; spent: bigint }> {
  const answer = await world.bus.call(accountTotalsGet, { accountId });
  if (!answer.ok) throw new Error("refused");
  return { credited: answer.value.creditedMicroTokens, spent: answer.value.spentMicroTokens };
}

/** The slow way: the charges themselves. */
async function chargedOf(accountId: AccountId): Promise<bigint> {
  const [row] = await world.query<{ charged: string }>(
    "select coalesce(sum(charged), 0)::text as charged from usage_line where account_id = $1",
    [idToUuid(accountId)],
  );
  return BigInt(row?.charged ?? 0);
}

async function balanceOf(accountId: AccountId): Promise<bigint> {
  const answer = await world.bus.call(balanceGet, { accountId });
  if (!answer.ok) throw new Error("refused");
  return answer.value.paidMicroTokens + answer.value.bonusMicroTokens;
}

test("given an account that never had money, then both are zero", async () => {
  expect(await totalsOf(newId("acc"))).toEqual({ credited: 0n, spent: 0n });
});

test("given paid money and a bonus, charges of both in several batches, a refund and an adjustment, then what was spent is what was charged and not given back", async () => {
  const person = await Person.of(world);
  const { accountId } = person;
  await fund(world, accountId, { bonus: 150n });
  await fund(world, accountId, { paid: 100_000n });
  const other = await Person.of(world);
  await fund(world, other.accountId, { paid: 100_000n });
  expect(await totalsOf(accountId)).toEqual({ credited: 100_150n, spent: 0n });

  const [first] = await book(world, accountId, [{ input: 10, status: "client_closed" }]);
  await book(world, accountId, [{ input: 20 }, { input: 30 }]);
  await book(world, other.accountId, [{ input: 7 }]);
  const charged = await chargedOf(accountId);
  expect(charged).toBe(105n + 205n + 305n);
  expect(await totalsOf(accountId)).toEqual({ credited: 100_150n, spent: charged });

  const refund = { accountId, amount: tokens(40n), reason: "slow answer", ticket: "T-2" };
  expect((await finance.post(`/api/billing/operator/usage/${first!}/refunds`, refund)).status).toBe(201);
  expect(await totalsOf(accountId)).toEqual({ credited: 100_150n, spent: charged - 40n });

  const taken = {
    accountId,
    bucket: "paid",
    amount: tokens(-1_000n),
    reason: "typing error",
    ticket: "T-3",
  };
  const adjusted = await finance.post("/api/billing/operator/adjustments", taken);
  expect(adjusted).toMatchObject({ status: 201 });
  const totals = await totalsOf(accountId);
  expect(totals).toEqual({ credited: 99_150n, spent: charged - 40n });
  expect(totals.credited - totals.spent).toBe(await balanceOf(accountId));
  expect(await totalsOf(other.accountId)).toEqual({ credited: 100_000n, spent: 75n });
  await expectSoundBooks(world);
});

test("given many batches, then only what moved besides usage is read", async () => {
  const plan = await world.query<{ "QUERY PLAN": string }>(
    `explain select sum(amount) from entry
      where batch_id is null and ledger_account_id in ('${idToUuid(newId("evt"))}', '${idToUuid(newId("evt"))}')`,
  );
  expect(plan.map((row) => row["QUERY PLAN"]).join("\n")).toContain("entry_of_command");
});
