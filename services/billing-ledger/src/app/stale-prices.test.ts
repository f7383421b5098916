import { expect, test } from "@jest/globals";
import type { SpoolRecord } from "@codex/contracts";
import { newId } from "@codex/kernel";
import type { SpooledRecord } from "./ports.ts";
import { watchStalePrices } from "./stale-prices.ts";

const [current, old] = [newId("prc"), newId("prc")];

function used(priceVersion: typeof current, startedAt: string): SpooledRecord {
  const record = { type: "usage", priceVersion, startedAt } as SpoolRecord;
  return { epoch: 1, partition: 0, record, payloadHash: 0n, raw: "", streamSeq: 1 };
}

test("given a version that was superseded at noon, when requests of later than the tolerance name it, then they alone are told, once a version", async () => {
  const told: [string, number][] = [];
  await watchStalePrices(
    {
      prices: {
        supersededAt: async (version) => (version === old ? new Date("2026-11-23T12:00:00.000Z") : undefined),
      },
      events: { stalePriceUsed: (version, requests) => told.push([version, requests]) },
      toleranceMs: 300_000,
    },
    [
      used(old, "2026-11-23T11:59:59.000Z"),
      used(old, "2026-11-23T12:05:00.000Z"),
      used(old, "2026-11-23T12:05:00.001Z"),
      used(old, "2026-11-23T18:00:00.000Z"),
      used(current, "2026-11-23T18:00:00.000Z"),
      { ...used(current, ""), record: { type: "lease_close" } as SpoolRecord },
    ],
  );
  expect(told).toEqual([[old, 2]]);
});
