import { Lender } from "@codex/gateway-proxy";
import { newId, ok, systemClock } from "@codex/kernel";
import { makeAccounts } from "./accounts.ts";
import { spreadOf, type Spread } from "./spread.ts";

const admissions = 200_000;
const accountsMax = 1_000;

/** Admission and settlement on a lease that is there: what the ledger adds to a request on the gateway. In microseconds. */
export async function leaseHit(): Promise<Spread> {
  const accounts = makeAccounts(accountsMax);
  const lender = new Lender({
    grant: () =>
      Promise.resolve(
        ok({ leaseId: newId("lse"), granted: 1_000_000_000_000n, ttlMs: 600_000, priceGroup: "default" }),
      ),
    asked: () => undefined,
    refused: () => undefined,
    leaseGranted: () => undefined,
    leaseClosed: () => undefined,
    giveBack: () => Promise.resolve(),
    clock: systemClock,
  });
  const economies = { tighten: () => Promise.resolve(undefined), shorten: () => undefined };
  const times: number[] = [];
  for (let index = 0; index < admissions; index += 1) {
    const account = accounts[index % accounts.length];
    if (!account) break;
    const payer = { accountId: account.accountId, keyId: account.keyId, caps: null, version: 1 };
    const before = performance.now();
    const { ticket } = await lender.admit(payer, { amount: 100n, outputTokens: 100 }, economies);
    lender.settle(ticket, 60n);
    // The first of each account asks for its lease.
    if (index >= accountsMax) times.push((performance.now() - before) * 1_000);
  }
  return spreadOf(times);
}
