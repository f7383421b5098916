import { expect, test } from "@jest/globals";
import { newId } from "@codex/kernel";
import * as z from "zod";
import { amount, idOf, microTokens } from "./codecs.ts";
import { usagePartitionOf, usagePartitions } from "./billing.ts";
import { allEvents, allKvs, allRpcs } from "./registry.ts";

test("money crosses the wire as text and is bigint in code", () => {
  expect(z.decode(microTokens, "-42")).toBe(-42n);
  expect(z.encode(microTokens, 9_223_372_036_854_775_807n)).toBe("9223372036854775807");
  expect(z.decode(amount, "1.5")).toBe(1_500_000n);
  expect(z.encode(amount, 1n)).toBe("0.000001");
});

test.each(["1e3", "", "1.5", "9223372036854775808", " 1", "--1"])("%j is not an int8 of micro-tokens", (text) => {
  expect(microTokens.safeDecode(text).success).toBe(false);
});

test("an id of another prefix or a number is refused", () => {
  expect(idOf("acc").safeParse(newId("acc")).success).toBe(true);
  expect(idOf("acc").safeParse(newId("key")).success).toBe(false);
  expect(idOf("acc").safeParse(42).success).toBe(false);
});

test("an id is encoded as it is decoded", () => {
  const id = newId("acc");
  expect(z.encode(z.object({ id: idOf("acc") }), z.decode(z.object({ id: idOf("acc") }), { id }))).toEqual({ id });
});

test("every declared schema has a JSON Schema of its wire form", () => {
  const schemas = [
    ...allEvents.map((event) => event.data),
    ...allRpcs.flatMap((rpc) => [rpc.req, rpc.res]),
    ...allKvs.map((kv) => kv.value),
  ];
  for (const schema of schemas) expect(() => z.toJSONSchema(schema, { io: "input" })).not.toThrow();
});

test("an account always lands in the same partition, and accounts spread over all of them", () => {
  expect(usagePartitionOf("acc_01h2xcejqtf2nbrexx3vqjhp41")).toBe(usagePartitionOf("acc_01h2xcejqtf2nbrexx3vqjhp41"));
  const hits = new Set(Array.from({ length: 500 }, () => usagePartitionOf(newId("acc"))));
  expect(hits.size).toBe(usagePartitions);
});
