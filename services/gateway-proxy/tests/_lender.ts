import { AppError, ManualClock, newId, type AccountId, type LeaseId, type MicroTokens } from "@codex/kernel";
import type { GrantAnswer, GrantAsk, LenderPorts, Payer } from "../src/app/lease-ports.ts";
import { Lender, type Economies } from "../src/app/lender.ts";

/** A lender whose billing is the test's function, and what it said to its ports. */

export const payer: Payer = { accountId: newId("acc"), keyId: newId("key"), caps: null, version: 1 };
export const { accountId } = payer;
export const payerOf = (of: AccountId): Payer => ({ ...payer, accountId: of });
export type Ask = GrantAsk;
export type Answer = GrantAnswer;

export const unavailable = new AppError({ kind: "unavailable", code: "service_unavailable", publicMessage: "away" });
export const noEconomies: Economies = { tighten: () => Promise.resolve(undefined), shorten: () => undefined };

export function granted(amount: MicroTokens, ttlMs = 60_000): Answer {
  return { ok: true, value: { leaseId: newId("lse"), granted: amount, ttlMs, priceGroup: "default" } };
}

export function refused(available: MicroTokens, held = 0n): Answer {
  return { ok: false, code: "insufficient_balance", message: "too little", refusal: { available, held } };
}

export function setUp(grant: (ask: Ask, askNo: number) => Answer | Promise<Answer>, ports: Partial<LenderPorts> = {}) {
  const clock = new ManualClock();
  const asks: Ask[] = [];
  const open = new Set<LeaseId>();
  const log: string[] = [];
  const returned: MicroTokens[] = [];
  let running = 0;
  let runningMax = 0;
  const lender = new Lender({
    async grant(ask) {
      asks.push(ask);
      log.push("ask");
      running += 1;
      runningMax = Math.max(runningMax, running);
      try {
        return await grant(ask, asks.length);
      } finally {
        running -= 1;
      }
    },
    asked(requestNo) {
      log.push(`journal ${String(requestNo)}`);
    },
    refused(requestNo) {
      log.push(`refused ${String(requestNo)}`);
    },
    leaseGranted(leaseId) {
      open.add(leaseId);
    },
    leaseClosed(leaseId) {
      open.delete(leaseId);
      log.push("close");
    },
    giveBack(_of, leases) {
      returned.push(...leases.map(({ ceiling }) => ceiling));
      return Promise.resolve();
    },
    clock,
    ...ports,
  });
  const admit = (amount: MicroTokens, economies = noEconomies, of = payer) =>
    lender.admit(of, { amount, outputTokens: 10 }, economies);
  return { lender, admit, clock, asks, open, log, returned, runningMax: () => runningMax };
}

export async function errorOf(work: Promise<unknown>): Promise<AppError> {
  const error: unknown = await work.then(
    () => new Error("was admitted"),
    (thrown: unknown) => thrown,
  );
  if (error instanceof AppError) return error;
  throw error;
}

export const aMoment = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
