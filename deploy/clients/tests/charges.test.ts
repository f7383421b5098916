import { newId } from "@codex/kernel";
import { expect, test } from "@jest/globals";
import type { UsageRow } from "../../chaos/src/books.ts";
import { priceOf, readDeliveries, uncharged, wrongCharges, type Delivery } from "../src/charges.ts";

// The comparison that decides about a run: each thing that may go wrong with a charge has its sentence.

const task = { model: "demo-tools", route: "/v1/messages" } as const;
const usage = {
  input_tokens: 10,
  cache_read_input_tokens: 4,
  cache_creation: { ephemeral_5m_input_tokens: 2, ephemeral_1h_input_tokens: 0 },
  output_tokens: 3,
};
/** By the rates of demo-small: 500, 125, 625 and 1,500 micro-tokens a token. */
const price = 10n * 500n + 4n * 125n + 2n * 625n + 3n * 1_500n;

function pair(row: Partial<UsageRow> = {}, delivery: Partial<Delivery> = {}): { row: UsageRow; delivery: Delivery } {
  const requestId = newId("req");
  return {
    row: {
      requestId,
      accountId: newId("acc"),
      model: task.model,
      status: "ok",
      hold: price,
      cost: price,
      charged: price,
      estimated: false,
      outputTokens: 3,
      ...row,
    },
    delivery: { requestId, path: task.route, status: 200, usage, ...delivery },
  };
}

test("given usage of any dialect, then each class has its price", () => {
  expect(priceOf(usage)).toBe(price);
  const chat = { prompt_tokens: 10, completion_tokens: 2, prompt_tokens_details: { cached_tokens: 8 } };
  expect(priceOf(chat)).toBe(2n * 500n + 8n * 125n + 2n * 1_500n);
  expect(priceOf({ input_tokens: 1, output_tokens: 5, output_tokens_details: { reasoning_tokens: 4 } })).toBe(8_000n);
});

test("given two requests that were charged once each at their price, then nothing is wrong", () => {
  const pairs = [pair(), pair()];
  const rows = pairs.map(({ row }) => row);
  const deliveries = pairs.map(({ delivery }) => delivery);
  expect(wrongCharges(task, rows, deliveries)).toEqual([]);
  expect(uncharged(rows, deliveries)).toEqual([]);
});

test.each([
  ["a charge that is one off", pair({ charged: price + 1n }), "micro-tokens, not"],
  ["a request that was booked as an abort", pair({ status: "client_closed" }), "booked as client_closed"],
  ["an estimate", pair({ estimated: true }), "estimated"],
  ["another route", pair({}, { path: "/v1/responses" }), "asked /v1/responses"],
  ["another model", pair({ model: "demo-small" }), "for demo-small"],
])("given %s, then it is named", (_what, { row, delivery }, sentence) => {
  const good = pair();
  const problems = wrongCharges(task, [good.row, row], [good.delivery, delivery]);
  expect(problems).toEqual([expect.stringContaining(sentence)]);
  expect(problems[0]).toContain(row.requestId);
});

test("given one request charged twice, one that nobody answered, or too few, then that is named", () => {
  const good = pair();
  expect(wrongCharges(task, [good.row, good.row], [good.delivery]).join()).toContain("charged more than once");
  expect(wrongCharges(task, [good.row, pair().row], [good.delivery]).join()).toContain("answered it 0 times");
  expect(wrongCharges(task, [good.row], [good.delivery])).toEqual(["1 requests were charged, not at least two"]);
});

test("given an answer that is in no row, then it is named; counting tokens is free", () => {
  const lost = pair().delivery;
  const journal = [
    { ...lost, reportedUsage: usage, seq: 1 },
    { ...lost, path: "/v1/messages/count_tokens", reportedUsage: null, seq: 2 },
  ].map((entry) => JSON.stringify(entry));
  const deliveries = readDeliveries(`${journal.join("\n")}\n`);
  expect(uncharged([], deliveries)).toEqual([expect.stringContaining(`${lost.requestId}: /v1/messages was answered`)]);
});
