import { usageRecord, type UsageRecord } from "@codex/contracts";
import { newId } from "@codex/kernel";
import { describe, expect, test } from "@jest/globals";
import { z } from "zod";
import { firstForm, laterForm } from "../src/bus/canonical-record.ts";
import { fromBusUsage } from "../src/bus/usage-envelope.ts";
import { accountIn, noTokens } from "./_util.ts";

const partition = 4;

const record: UsageRecord = {
  type: "usage",
  seq: 1,
  requestId: newId("req"),
  accountId: accountIn(partition),
  keyId: newId("key"),
  leaseId: newId("lse"),
  route: "/v1/chat/completions",
  model: "demo-small",
  channel: "demo",
  status: "ok",
  httpStatus: 200,
  errorCode: null,
  streamed: true,
  tokens: { ...noTokens, input: 3, output: 5 },
  images: null,
  audioMs: 0,
  priceGroup: "default",
  estimated: false,
  priceVersion: newId("prc"),
  holdMicroTokens: 9_007_199_254_740_993n,
  costMicroTokens: 7n,
  startedAt: "2026-11-23T10:00:00.000Z",
  firstByteMs: 12,
  durationMs: 345,
};

type Wire = Record<string, unknown>;

const wireOf = (one: UsageRecord): Wire => z.encode(usageRecord, one);

/** As a gateway wrote it to its spool and sent it before there were pictures, sound and price groups. */
function formerWireOf(one: UsageRecord): Wire {
  const later = new Set(["images", "audioMs", "priceGroup"]);
  return Object.fromEntries(Object.entries(wireOf(one)).filter(([name]) => !later.has(name)));
}

function hashOf(wire: Wire): bigint | undefined {
  const envelope = {
    specversion: "1.0",
    id: "1-4-1-1",
    source: "gateway-proxy",
    type: "usage.spooled.v1",
    time: "2026-11-23T10:00:01.000Z",
    data: { epoch: 1, partition, first: 1, last: 1, records: [wire] },
  };
  const read = fromBusUsage({ data: new TextEncoder().encode(JSON.stringify(envelope)), seq: 1 }, partition);
  expect(read.aside).toEqual([]);
  return read.records[0]?.payloadHash;
}

describe("the hash of a record", () => {
  test("given a record of a former gateway, when the upgraded one reads it from the spool and sends it again, then the hash is the same", () => {
    const former = formerWireOf(record);
    const again = wireOf(usageRecord.parse(JSON.parse(JSON.stringify(former))));
    expect(Object.keys(again)).not.toEqual(Object.keys(former));
    expect(hashOf(again)).toBe(hashOf(former));
  });

  test("given the same fields in another order, then the hash is the same", () => {
    expect(hashOf(Object.fromEntries(Object.entries(wireOf(record)).reverse()))).toBe(hashOf(wireOf(record)));
  });

  test("given any other value, then the hash is another", () => {
    const others: readonly Partial<UsageRecord>[] = [
      { costMicroTokens: 8n },
      { audioMs: 1 },
      { priceGroup: "team" },
      { images: { count: 1, variant: "1024x1024" } },
      { tokens: { ...record.tokens, output: 6 } },
      { errorCode: "x" },
    ];
    const hashes = [record, ...others.map((other) => ({ ...record, ...other }))].map((one) => hashOf(wireOf(one)));
    expect(new Set(hashes).size).toBe(others.length + 1);
  });

  test("given a field of the contract, then it is known whether the hash has it always or only when it says something", () => {
    const known = [...firstForm, ...laterForm].map(([name]) => name);
    expect(Object.keys(usageRecord.shape).sort()).toEqual(known.sort());
  });
});
