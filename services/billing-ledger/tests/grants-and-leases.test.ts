import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { deadLetterHeaders } from "@codex/bus";
import { balanceChanged, deadLetterSubject, subjectOf } from "@codex/contracts";
import { newId } from "@codex/kernel";
import { eventually } from "@codex/testkit";
import { jetstreamManager } from "@nats-io/jetstream";
import fc from "fast-check";
import { sizeLease } from "../src/domain/lease-size.ts";
import { brokenInvariants } from "./_invariants.ts";
import { balanceOf, fund, sendGrant, startWorld, Worker, type World } from "./_util.ts";

let world: World;
beforeAll(async () => {
  world = await startWorld();
});
afterAll(async () => {
  expect(await brokenInvariants(world.query)).toEqual([]);
  await world.stop();
});

describe("balance.get", () => {
  test("given an account that never had money, when its balance is asked for, then it is zeros and no row is made", async () => {
    const accountId = newId("acc");
    expect(await balanceOf(world, accountId)).toEqual({
      paidMicroTokens: 0n,
      bonusMicroTokens: 0n,
      heldMicroTokens: 0n,
      availableMicroTokens: 0n,
    });
  });
});

describe("grant commands", () => {
  test("given a paid and a bonus grant, when they are handled, then each bucket has its money, from its own operator account", async () => {
    const accountId = newId("acc");
    await fund(world, accountId, { paid: 700n, bonus: 300n });
    expect(await balanceOf(world, accountId)).toMatchObject({
      paidMicroTokens: 700n,
      bonusMicroTokens: 300n,
      availableMicroTokens: 1_000n,
    });
    const rows = await world.query<{ kind: string; amount: string }>(
      `select d.kind, t.amount from transfer t join ledger_account d on d.id = t.debit_account_id
       join ledger_account c on c.id = t.credit_account_id
       where t.kind = 'grant' and c.account_id = any(select account_id from balance where paid = 700 and bonus = 300) order by d.kind`,
    );
    expect(rows).toEqual([
      { kind: "payments_clearing", amount: "700" },
      { kind: "promo", amount: "300" },
    ]);
  });

  test("given a grant, when the same command comes again under another event id, then the money came once", async () => {
    const accountId = newId("acc");
    const key = newId("evt");
    await sendGrant(world, accountId, 500n, { key, id: `${key}-1` });
    await sendGrant(world, accountId, 500n, { key, id: `${key}-2` });
    await eventually(async () => (await pendingGrants(world)) === 0, { what: "all grants handled" });
    expect((await balanceOf(world, accountId)).paidMicroTokens).toBe(500n);
  });

  test.each([
    ["the same key with another amount", 600n, "another grant"],
    ["an amount of nothing", 0n, "out of bounds"],
    ["an amount beyond all bounds", 10n ** 16n, "out of bounds"],
  ])(
    "given %s, when it is handled, then it is a dead letter with the reason and moves nothing",
    async (name, amount, reason) => {
      const accountId = newId("acc");
      const key = newId("evt");
      const repeats = name.startsWith("the same key");
      if (repeats) {
        await sendGrant(world, accountId, 500n, { key, id: `${key}-1` });
        await eventually(async () => (await balanceOf(world, accountId)).paidMicroTokens === 500n, {
          what: "the first grant",
        });
      }
      await sendGrant(world, accountId, amount, { key, id: `${key}-2` });
      const letter = await eventually(async () => deadLetterOf(world, accountId), { what: "the dead letter" });
      expect(letter.reason).toBe("permanent");
      expect(letter.error).toContain(reason);
      expect((await balanceOf(world, accountId)).paidMicroTokens).toBe(repeats ? 500n : 0n);
    },
  );

  test("given a grant, when it is committed, then the change is published with the balance after it", async () => {
    const accountId = newId("acc");
    await fund(world, accountId, { paid: 42n });
    const event = await eventually(async () => lastEvent(world, subjectOf(balanceChanged.pattern, { accountId })), {
      what: "balance.changed",
    });
    expect(event).toMatchObject({
      type: "balance.changed.v1",
      source: "billing-ledger",
      data: {
        accountId,
        paidMicroTokens: "42",
        bonusMicroTokens: "0",
        heldMicroTokens: "0",
        availableMicroTokens: "42",
        version: 1,
      },
    });
  });
});

describe("lease.grant", () => {
  test("given a rich account, when a worker asks, then it gets what it wants and the money is held", async () => {
    const accountId = newId("acc");
    await fund(world, accountId, { paid: 10_000n });
    const worker = await Worker.open(world);
    const answer = await worker.ask(accountId, 10n, 500n);
    expect(answer).toMatchObject({ ok: true, value: { grantedMicroTokens: 500n, ttlMs: 60_000 } });
    expect(await balanceOf(world, accountId)).toMatchObject({ heldMicroTokens: 500n, availableMicroTokens: 9_500n });
  });

  test("given less than the minimum, when a worker asks, then it is refused with what is available and held", async () => {
    const accountId = newId("acc");
    await fund(world, accountId, { paid: 100n });
    const worker = await Worker.open(world);
    await worker.lease(accountId, 60n);
    expect(await worker.ask(accountId, 41n)).toMatchObject({
      ok: false,
      code: "insufficient_balance",
      metadata: { availableMicroTokens: "40", heldMicroTokens: "60" },
    });
    expect(await worker.ask(newId("acc"), 1n)).toMatchObject({
      ok: false,
      metadata: { availableMicroTokens: "0", heldMicroTokens: "0" },
    });
  });

  test("given a free model, when an account without money asks for nothing, then it gets an empty lease", async () => {
    const worker = await Worker.open(world);
    expect(await worker.ask(newId("acc"), 0n, 100n)).toMatchObject({ ok: true, value: { grantedMicroTokens: 0n } });
  });

  test("given a granted lease, when the ask is repeated, also many times at once, then it is the same lease and holds once", async () => {
    const accountId = newId("acc");
    await fund(world, accountId, { paid: 1_000n });
    const worker = await Worker.open(world);
    const answers = await Promise.all(Array.from({ length: 20 }, () => worker.ask(accountId, 100n, 100n, 7)));
    const leases = new Set(answers.map((answer) => (answer.ok ? answer.value.leaseId : answer.code)));
    expect(leases.size).toBe(1);
    expect((await balanceOf(world, accountId)).heldMicroTokens).toBe(100n);
  });

  test("given money for exactly three, when fifty workers ask at once, then exactly three are granted", async () => {
    const accountId = newId("acc");
    await fund(world, accountId, { paid: 200n, bonus: 150n });
    const workers = await Promise.all(
      Array.from({ length: 5 }, (_, index) => Worker.open(world, `parallel-${String(index)}`)),
    );
    const answers = await Promise.all(
      workers.flatMap((worker) => Array.from({ length: 10 }, () => worker.ask(accountId, 100n))),
    );
    expect(answers.filter((answer) => answer.ok)).toHaveLength(3);
    expect(await balanceOf(world, accountId)).toMatchObject({ heldMicroTokens: 300n, availableMicroTokens: 50n });
  });

  test("given a frozen account, when a worker asks, then it is refused; a repeated older ask still gets its lease", async () => {
    const accountId = newId("acc");
    await fund(world, accountId, { paid: 1_000n });
    const worker = await Worker.open(world);
    const before = await worker.ask(accountId, 10n, 10n, 90);
    await world.query("update balance set frozen_at = now() where paid = 1000 and reserved = 10");
    expect(await worker.ask(accountId, 10n, 10n, 91)).toMatchObject({ ok: false, code: "account_frozen" });
    expect(await worker.ask(accountId, 10n, 10n, 90)).toEqual(before);
  });

  test("given nonsense, when a worker asks, then it is an error and not a lease", async () => {
    const accountId = newId("acc");
    await fund(world, accountId, { paid: 1_000n });
    const worker = await Worker.open(world);
    await expect(worker.ask(accountId, -1n)).rejects.toThrow("service_unavailable");
    await expect(worker.ask(accountId, 2n, 1n)).rejects.toThrow("service_unavailable");
    await expect(Object.assign(Object.create(worker) as Worker, { epoch: 12_345 }).ask(accountId, 1n)).rejects.toThrow(
      "service_unavailable",
    );
    expect((await balanceOf(world, accountId)).heldMicroTokens).toBe(0n);
  });

  test("given any account and ask, when SQL sizes the lease, then it is what the domain says", async () => {
    const worker = await Worker.open(world, "sizes");
    const other = await Worker.open(world, "sizes-other");
    const amount = fc.bigInt({ min: 0n, max: 2_000n });
    await fc.assert(
      fc.asyncProperty(
        fc.bigInt({ min: 1n, max: 1_500n }),
        amount,
        amount,
        fc.boolean(),
        async (money, minimum, more, shared) => {
          const accountId = newId("acc");
          await fund(world, accountId, { paid: money });
          if (shared) await other.lease(accountId, 0n);
          const expected = sizeLease({ minimum, want: minimum + more, available: money, holders: shared ? 2n : 1n });
          const answer = await worker.ask(accountId, minimum, minimum + more);
          expect(answer.ok ? answer.value.grantedMicroTokens : undefined).toBe(expected);
        },
      ),
      { numRuns: 40 },
    );
  });
});

describe("epoch.open", () => {
  test("given many workers, when they open epochs at once, then each has its own, and this day and the next have a table", async () => {
    const epochs = await Promise.all(Array.from({ length: 20 }, (_, index) => Worker.open(world, `w${String(index)}`)));
    expect(new Set(epochs.map((worker) => worker.epoch)).size).toBe(20);
    const tables = await world.query("select relname from pg_class where relname ~ '^usage_row_[0-9]+$'");
    expect(tables).toHaveLength(2);
  });
});

async function pendingGrants(within: World): Promise<number> {
  const info = await (await jetstreamManager(within.bus.connection)).consumers.info("COMMANDS", "billing-grants");
  return info.num_pending + info.num_ack_pending;
}

async function deadLetterOf(within: World, accountId: string): Promise<{ reason: string; error: string } | undefined> {
  const jsm = await jetstreamManager(within.bus.connection);
  const { state } = await jsm.streams.info("DEAD_LETTERS");
  for (let seq = state.last_seq; seq >= Math.max(1, state.first_seq); seq -= 1) {
    const message = await jsm.streams.getMessage("DEAD_LETTERS", { seq });
    if (message?.subject !== deadLetterSubject("COMMANDS", "billing-grants") || !message.string().includes(accountId))
      continue;
    return { reason: message.header.get(deadLetterHeaders.reason), error: message.header.get(deadLetterHeaders.error) };
  }
  return undefined;
}

async function lastEvent(within: World, subject: string): Promise<unknown> {
  const jsm = await jetstreamManager(within.bus.connection);
  const message = await jsm.streams.getMessage("EVENTS", { last_by_subj: subject });
  return message?.json();
}
