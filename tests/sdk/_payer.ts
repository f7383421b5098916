import type { ModelPrice, TokenCounts, UsageRecord } from "@codex/contracts";
import type { AccountId } from "@codex/kernel";
import { tokenClasses } from "@codex/demo-upstream";
import { eventually } from "@codex/testkit";
import { expect } from "@jest/globals";
import { priceOf, type World } from "../../services/gateway-proxy/tests/_world.ts";

/**
 * A customer of one test, so that what the test was charged can be told apart: what was sent, and the rows that billing got for
 * it, held against what the upstream wrote down.
 */
export interface Payer {
  readonly apiKey: string;
  readonly fetch: typeof fetch;
  /** Requests sent, retries included. */
  sent(): number;
  /**
   * The `count` rows of this customer, oldest first; no more may be there. Each belongs to one answer of the upstream, and one
   * that ended well has its tokens, class by class, at their price. `uncounted`: models of whose answers the upstream tells no
   * usage; they are charged by an estimate, which is more than nothing.
   */
  charged(count: number, uncounted?: readonly string[]): Promise<readonly UsageRecord[]>;
  /** No row of this customer costs anything, nor will any: how many there are is not the test's business. */
  nothingCharged(): void;
}

/** Micro-tokens a token. Each class its own price, so that a token booked in the wrong one shows in the cost. */
const rates = {
  input: 1_000n,
  cachedInput: 100n,
  cacheWrite: 1_300n,
  cacheWrite1h: 2_100n,
  output: 5_000n,
  reasoning: 7_000n,
};
const million = 1_000_000n;

export function toldApart(model: string): ModelPrice {
  const perMillion = Object.fromEntries(Object.entries(rates).map(([name, rate]) => [name, rate * million]));
  return priceOf(model, { rates: perMillion as ModelPrice["rates"] });
}

/** Every customer of a suite with the number of rows that its test named last; "free" when it named their price. */
export class Payers {
  private readonly world: World;
  private readonly named = new Map<AccountId, number | "free">();

  constructor(world: World) {
    this.world = world;
  }

  open(balanceMicroTokens: bigint): Payer {
    return newPayer(this.world, balanceMicroTokens, (accountId, what) => void this.named.set(accountId, what));
  }

  /** At the end of a suite, long after the tests that looked: no charge came later that no test has named. */
  expectNothingMore(): void {
    for (const [accountId, what] of this.named) {
      const rows = this.world.billing.usage(accountId);
      if (what === "free") expect(rows.filter(({ costMicroTokens }) => costMicroTokens !== 0n)).toEqual([]);
      else expect(rows).toHaveLength(what);
    }
  }
}

function newPayer(
  world: World,
  balanceMicroTokens: bigint,
  onNamed: (accountId: AccountId, what: number | "free") => void,
): Payer {
  const { accountId, apiKey } = world.customer(balanceMicroTokens);
  let sent = 0;
  onNamed(accountId, 0);
  return {
    apiKey,
    fetch: (input, init) => {
      sent += 1;
      return fetch(input, init);
    },
    sent: () => sent,
    async charged(count, uncounted = []) {
      onNamed(accountId, count);
      const rows = await eventually(
        () => {
          const found = world.billing.usage(accountId);
          return found.length >= count && found;
        },
        { what: `${String(count)} usage rows` },
      );
      expect(rows).toHaveLength(count);
      for (const row of rows) await expectRightCharge(world, row, uncounted);
      return rows;
    },
    nothingCharged: () => onNamed(accountId, "free"),
  };
}

async function expectRightCharge(world: World, row: UsageRecord, uncounted: readonly string[]): Promise<void> {
  const deliveries = await eventually(
    () => {
      const found = world.upstream.journal
        .page(0, 10_000)
        .entries.filter(({ requestId }) => requestId === row.requestId);
      return found.length > 0 && found;
    },
    { what: `the upstream's note of ${row.requestId}` },
  );
  expect(row.costMicroTokens).toBeLessThanOrEqual(row.holdMicroTokens);
  if (row.status !== "ok") return;
  expect(deliveries).toHaveLength(1);
  if (uncounted.includes(row.model)) {
    expect(row.estimated).toBe(true);
    expect(row.costMicroTokens).toBeGreaterThan(0n);
    return;
  }
  expect(row).toMatchObject({ estimated: false, tokens: tokenClasses(deliveries[0]?.reportedUsage ?? {}) });
  const classes = Object.entries(rates);
  expect(row.costMicroTokens).toBe(
    classes.reduce((sum, [name, rate]) => sum + BigInt(row.tokens[name as keyof TokenCounts]) * rate, 0n),
  );
}
