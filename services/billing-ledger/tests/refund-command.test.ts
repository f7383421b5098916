import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { deadLetterSubject, refundCommand, statementPage, usageReceipt } from "@codex/contracts";
import { newId, type AccountId, type RequestId } from "@codex/kernel";
import { eventually } from "@codex/testkit";
import { jetstreamManager } from "@nats-io/jetstream";
import { brokenInvariants } from "./_invariants.ts";
import { accountIn, balanceOf, fund, startWorld, Worker, type World } from "./_util.ts";

let world: World;
beforeAll(async () => {
  world = await startWorld();
});
afterAll(async () => {
  expect(await brokenInvariants((text, values) => world.query(text, values))).toEqual([]);
  await world.stop();
});

interface Charged {
  readonly accountId: AccountId;
  readonly requestId: RequestId;
  readonly cookie: string;
}

/** An account that has 10,000, of which one request cost 145. */
async function charged(book = true): Promise<Charged & { book(): Promise<void> }> {
  const accountId = accountIn(9);
  await fund(world, accountId, { paid: 10_000n });
  const worker = await Worker.open(world, newId("job"));
  const leaseId = await worker.lease(accountId, 500n);
  const record = worker.usage(accountId, leaseId, { input: 10, output: 2 });
  const send = async (): Promise<void> => {
    await worker.send([record]);
    await worker.confirmed(9, 1);
  };
  if (book) await send();
  return { accountId, requestId: record.requestId, cookie: await world.auth.signIn(accountId), book: send };
}

async function ask(
  { accountId, requestId }: Pick<Charged, "accountId" | "requestId">,
  amount: bigint | null,
  key: string = newId("evt"),
): Promise<string> {
  await world.bus.publish(refundCommand, {
    params: { accountId },
    data: { accountId, requestId, amountMicroTokens: amount, reason: "image_not_delivered", idempotencyKey: key },
  });
  return key;
}

async function paidIs(accountId: AccountId, amount: bigint): Promise<void> {
  await eventually(async () => (await balanceOf(world, accountId)).paidMicroTokens === amount, {
    what: `a balance of ${String(amount)}`,
  });
}

async function deadLetters(): Promise<number> {
  const jsm = await jetstreamManager(world.bus.connection);
  const filter = deadLetterSubject("COMMANDS", "billing-refunds");
  return (await jsm.streams.info("DEAD_LETTERS", { subjects_filter: filter })).state.messages;
}

describe("a refund by command", () => {
  test("given a charge, when a part and then the whole is asked for, then both move, and receipt and statement tell", async () => {
    const customer = await charged();
    await ask(customer, 45n);
    await paidIs(customer.accountId, 9_900n);
    await ask(customer, null);
    await paidIs(customer.accountId, 10_000n);
    const receipt = usageReceipt.parse(
      (await world.get(`/api/billing/usage/${customer.requestId}`, customer.cookie)).body,
    );
    expect([receipt.charged, receipt.refunded]).toEqual([145n, 145n]);
    const { lines } = statementPage.parse((await world.get("/api/billing/statement", customer.cookie)).body);
    expect(lines.slice(0, 2)).toMatchObject([
      { kind: "auto_refund", amount: 100n, reason: "image_not_delivered" },
      { kind: "auto_refund", amount: 45n },
    ]);
  });

  test("given the same key with the same input, another input, and a race, then it is paid once and the other input is a dead letter", async () => {
    const customer = await charged();
    const key = await ask(customer, 5n);
    await Promise.all(Array.from({ length: 5 }, () => ask(customer, 5n, key)));
    await paidIs(customer.accountId, 9_860n);
    const before = await deadLetters();
    await ask(customer, 6n, key);
    await eventually(async () => (await deadLetters()) === before + 1, { what: "a dead letter" });
    await ask(customer, 7n);
    await paidIs(customer.accountId, 9_867n);
  });

  test("given more than is left of the charge, nothing, and less than nothing, when they are asked for, then they are dead letters and nothing moves", async () => {
    const customer = await charged();
    const before = await deadLetters();
    for (const amount of [146n, 0n, -5n]) await ask(customer, amount);
    await eventually(async () => (await deadLetters()) === before + 3, { what: "three dead letters" });
    expect((await balanceOf(world, customer.accountId)).paidMicroTokens).toBe(9_855n);
  });

  test("given a charge that is given back already, when the whole is asked for again under another key, then nothing moves and nothing is wrong", async () => {
    const customer = await charged();
    const before = await deadLetters();
    await ask(customer, null);
    await paidIs(customer.accountId, 10_000n);
    await ask(customer, null);
    const other = await charged();
    await ask(other, null);
    await paidIs(other.accountId, 10_000n);
    expect(await deadLetters()).toBe(before);
    expect((await balanceOf(world, customer.accountId)).paidMicroTokens).toBe(10_000n);
  });

  test("given a request whose usage is not booked yet, when the refund comes first, then it waits and is paid after the charge", async () => {
    const customer = await charged(false);
    await ask(customer, null);
    await customer.book();
    await eventually(
      async () =>
        usageReceipt.parse((await world.get(`/api/billing/usage/${customer.requestId}`, customer.cookie)).body)
          .refunded === 145n,
      { what: "the refund after the charge", timeoutMs: 20_000 },
    );
    expect((await balanceOf(world, customer.accountId)).paidMicroTokens).toBe(10_000n);
  });

  test("given somebody else's request, when its refund is asked for under another account, then nothing moves for either", async () => {
    const [one, two] = [await charged(), await charged()];
    await ask({ accountId: one.accountId, requestId: two.requestId }, null);
    await ask(one, 1n);
    await paidIs(one.accountId, 9_856n);
    expect((await balanceOf(world, two.accountId)).paidMicroTokens).toBe(9_855n);
  });
});
