import { accountBlocked, leaseRecall } from "@codex/contracts";
import { newId, type AccountId } from "@codex/kernel";
import { eventually, leakCheck } from "@codex/testkit";
import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { brokenInvariants } from "./_invariants.ts";
import { accountIn, fund, startWorld, Worker, type World } from "./_util.ts";

// What a decision of auth about an account does to its money: none of it is lent while the account is blocked.

const leaks = leakCheck();
let world: World;

beforeAll(async () => {
  world = await startWorld();
}, 60_000);

afterAll(async () => {
  await world.stop();
  await leaks.assertClean();
}, 30_000);

async function decide(accountId: AccountId, blocked: boolean, at: string): Promise<void> {
  await world.bus.publish(accountBlocked, { params: { accountId }, data: { accountId, blocked, at } });
}

test("given an account is blocked, then it gets no lease, and what is lent is asked back; unblocked, it is as before, whatever order they come in", async () => {
  const accountId = accountIn(3);
  await fund(world, accountId, { paid: 1_000n });
  const worker = await Worker.open(world);
  const heard: string[] = [];
  const listening = await world.bus.onSignal(leaseRecall, (signal) => heard.push(signal.accountId));
  await worker.lease(accountId, 100n);
  await decide(accountId, true, "2026-11-26T10:00:00.000Z");
  await eventually(() => heard.includes(accountId), { what: "the recall" });
  expect(await worker.ask(accountId, 100n)).toMatchObject({ ok: false, code: "account_frozen" });
  await decide(accountId, false, "2026-11-26T11:00:00.000Z");
  await eventually(async () => (await worker.ask(accountId, 100n)).ok, { what: "a lease again" });
  // Late, and older than what is known.
  await decide(accountId, true, "2026-11-26T10:00:00.000Z");
  await decide(accountId, true, "2026-11-26T10:30:00.000Z");
  const mark = newId("acc");
  await decide(mark, true, "2026-11-26T12:00:00.000Z");
  await eventually(() => heard.includes(mark), { what: "the events before it to be handled" });
  expect(await worker.ask(accountId, 100n)).toMatchObject({ ok: true });
  listening.stop();
  expect(await brokenInvariants((text, values) => world.query(text, values))).toEqual([]);
});
