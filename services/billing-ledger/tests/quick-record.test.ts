import { describe, expect, test } from "@jest/globals";
import { spoolRecord, usageRecord, type UsageRecord } from "@codex/contracts";
import { newId } from "@codex/kernel";
import { propertyRuns } from "@codex/testkit";
import fc from "fast-check";
import { z } from "zod";
import { quickUsageRecord } from "../src/bus/quick-record.ts";

const counts = fc.nat(Number.MAX_SAFE_INTEGER);
const amounts = fc.bigInt({ min: -(2n ** 63n) + 1n, max: 2n ** 63n - 1n });
const words = (maxLength: number) => fc.string({ maxLength, unit: "binary" }).map((word) => word.slice(0, maxLength));

const records: fc.Arbitrary<UsageRecord> = fc.record({
  type: fc.constant("usage" as const),
  seq: fc.integer({ min: 1, max: Number.MAX_SAFE_INTEGER }),
  requestId: fc.constant(null).map(() => newId("req")),
  accountId: fc.constant(null).map(() => newId("acc")),
  keyId: fc.constant(null).map(() => newId("key")),
  leaseId: fc.constant(null).map(() => newId("lse")),
  route: words(64),
  model: words(128),
  channel: fc.option(words(64)),
  status: fc.constantFrom("ok", "client_closed", "upstream_error", "upstream_cut", "abandoned"),
  httpStatus: fc.integer({ min: 100, max: 599 }),
  errorCode: fc.option(words(64)),
  streamed: fc.boolean(),
  tokens: fc.record({
    input: counts,
    cachedInput: counts,
    cacheWrite: counts,
    cacheWrite1h: counts,
    output: counts,
    reasoning: counts,
  }),
  images: fc.constant(null),
  audioMs: counts,
  priceGroup: fc.stringMatching(/^[a-z0-9_-]{1,32}$/),
  estimated: fc.boolean(),
  priceVersion: fc.constant(null).map(() => newId("prc")),
  holdMicroTokens: amounts,
  costMicroTokens: amounts,
  startedAt: fc
    .date({ min: new Date("0001-01-01T00:00:00Z"), max: new Date("9999-12-31T23:59:59.999Z"), noInvalidDate: true })
    .map((date) => date.toISOString()),
  firstByteMs: fc.option(counts),
  durationMs: counts,
});

const wireOf = (record: UsageRecord): Record<string, unknown> =>
  JSON.parse(JSON.stringify(z.encode(usageRecord, record))) as Record<string, unknown>;

const fields = Object.keys(usageRecord.shape);

/** What senders might get wrong: near misses beside anything at all. */
const wrong = fc.oneof(
  fc.jsonValue(),
  fc.constantFrom<unknown>(
    undefined,
    "2026-02-30T00:00:00.000Z",
    "2026-11-25T10:00:00Z",
    "2026-11-25T10:00:00.000+01:00",
    "2026-11-25T24:00:00.000Z",
    "-0",
    "9223372036854775808",
    "00000000000000000001",
    1.5,
    -1,
    2 ** 53,
    "req_01h2xcejqtf2nbrexx3vqjhp41",
    "lease_close",
    { count: 1, variant: "x" },
    {},
  ),
  words(200),
);

describe("the quick reader of usage records", () => {
  test("given any record of a current gateway, then it reads what the schema reads", () => {
    fc.assert(
      fc.property(records, (record) => {
        const wire = wireOf(record);
        const quick = quickUsageRecord(wire);
        expect(quick).toEqual(record);
        expect(quick).toStrictEqual(spoolRecord.parse(wire));
      }),
      { numRuns: propertyRuns(300) },
    );
  });

  test("given a record with one field changed, added or left out, then what it accepts the schema reads the same", () => {
    const places = fc.constantFrom(
      ...fields,
      ...fields,
      "more",
      "__proto__",
      "tokens.input",
      "tokens.more",
      "tokens.output",
    );
    let accepted = 0;
    fc.assert(
      fc.property(records, places, wrong, (record, place, value) => {
        const wire = wireOf(record);
        const [outer = "", inner] = place.split(".");
        const holder = inner === undefined ? wire : (wire[outer] as Record<string, unknown>);
        Object.defineProperty(holder, inner ?? outer, { value, enumerable: true, configurable: true, writable: true });
        if (value === undefined) Reflect.deleteProperty(holder, inner ?? outer);
        const quick = quickUsageRecord(wire);
        if (!quick) return;
        accepted += 1;
        expect(quick).toStrictEqual(spoolRecord.parse(wire));
      }),
      { numRuns: propertyRuns(2_000) },
    );
    expect(accepted).toBeGreaterThan(0);
  });

  test("given anything else, then it leaves it to the schema", () => {
    for (const value of [null, 1, "usage", [], { type: "usage" }, { type: "lease_close", seq: 1 }])
      expect(quickUsageRecord(value)).toBeUndefined();
  });
});
