import { describe, expect, test } from "@jest/globals";
import type { Books, UsageRow } from "../src/books.ts";
import type { Observation } from "../src/client.ts";
import { compare, isClean, type Facts } from "../src/compare.ts";
import type { Delivery } from "../src/journal.ts";
import { flatModel } from "../src/models.ts";
import { reportLines } from "../src/report.ts";

// One request that everybody agrees about; each test plants one lie.

const observation: Observation = {
  gateway: "gateway-1",
  accountId: "acc_1",
  model: "demo-small",
  stream: true,
  startedAtMs: 0,
  endedAtMs: 100,
  requestId: "req_1",
  status: 200,
  bytes: 1_000,
  whole: true,
  left: false,
  problem: undefined,
};
const usage = { promptTokens: 100, cachedTokens: 0, completionTokens: 10 };
const delivery: Delivery = { requestId: "req_1", outcome: "finished", status: 200, usage };
/** 100 × 500 + 10 × 1,500 micro-tokens. */
const due = 65_000n;
const row: UsageRow = {
  requestId: "req_1",
  accountId: "acc_1",
  model: "demo-small",
  status: "ok",
  hold: 100_000n,
  cost: due,
  charged: due,
  estimated: false,
  outputTokens: 10,
};
const grant = 200_000n;
const books: Books = {
  usage: [row],
  balances: new Map([["acc_1", grant - due]]),
  refunds: new Map(),
  entrySum: 0n,
  writtenOff: 0n,
  inserted: 1,
  duplicates: 0,
  broken: [],
};

function facts(more: Partial<Facts> = {}, books_: Partial<Books> = {}): Facts {
  return {
    observations: [observation],
    deliveries: [delivery],
    granted: new Map([["acc_1", grant]]),
    books: { ...books, ...books_ },
    ...more,
  };
}

describe("the comparison", () => {
  test("is clean when clients, upstream and books say the same", () => {
    const verdict = compare(facts());
    expect(verdict).toEqual({
      delivered: 1,
      charged: 1,
      lost: [],
      doubled: [],
      wrong: [],
      overspent: [],
      ledgerDifference: 0n,
      findings: [],
    });
    expect(isClean(verdict)).toBe(true);
  });

  test("an answer that is not in the books is lost, and the balance is off by nothing", () => {
    const verdict = compare(facts({}, { usage: [], balances: new Map([["acc_1", grant]]) }));
    expect(verdict).toMatchObject({ delivered: 1, charged: 0, lost: ["req_1"], ledgerDifference: 0n });
    expect(verdict.findings).toEqual(["1 × delivered and not in the books: req_1"]);
    expect(isClean(verdict)).toBe(false);
  });

  test("what only the upstream saw is lost too", () => {
    const verdict = compare(facts({ deliveries: [delivery, { ...delivery, requestId: "req_2" }] }));
    expect(verdict.lost).toEqual(["req_2"]);
  });

  test("two rows of one request are doubled", () => {
    const verdict = compare(facts({}, { usage: [row, row], balances: new Map([["acc_1", grant - 2n * due]]) }));
    expect(verdict).toMatchObject({ doubled: ["req_1"], ledgerDifference: 0n });
    expect(isClean(verdict)).toBe(false);
  });

  test("a charge that is not the price of the reported usage is found, also one micro-token off", () => {
    const wrong = { ...row, cost: due + 1n, charged: due + 1n };
    const verdict = compare(facts({}, { usage: [wrong], balances: new Map([["acc_1", grant - due - 1n]]) }));
    expect(verdict).toMatchObject({ charged: 0, wrong: ["req_1"] });
    expect(verdict.findings).toEqual(["1 × delivered, and charged another amount: req_1"]);
  });

  test("a charge is bounded by its hold", () => {
    const held = { ...row, hold: 60_000n, cost: 60_000n, charged: 60_000n };
    const verdict = compare(facts({}, { usage: [held], balances: new Map([["acc_1", grant - 60_000n]]) }));
    expect(isClean(verdict)).toBe(true);
  });

  test("a charge for what the upstream broke off is given back, once and whole", () => {
    const broken = { ...row, status: "upstream_cut" };
    const cut = { observations: [{ ...observation, whole: false }] };
    const back = { usage: [broken], balances: new Map([["acc_1", grant]]) };
    expect(isClean(compare(facts(cut, { ...back, refunds: new Map([["req_1", due]]) })))).toBe(true);
    const finding = "1 × request(s) given back otherwise than the rules say: req_1";
    expect(compare(facts(cut, back)).findings).toEqual([finding]);
    expect(compare(facts(cut, { ...back, refunds: new Map([["req_1", due * 2n]]) })).findings).toEqual([finding]);
    const unasked = compare(facts({}, { refunds: new Map([["req_1", due]]) }));
    expect(unasked.findings).toEqual([finding]);
  });

  test("the flat model costs its flat price", () => {
    const flat = { ...row, model: flatModel, hold: 1_000_000n, cost: 1_000_000n, charged: 1_000_000n };
    const verdict = compare(
      facts({ granted: new Map([["acc_1", 1_000_000n]]) }, { usage: [flat], balances: new Map([["acc_1", 0n]]) }),
    );
    expect(isClean(verdict)).toBe(true);
  });

  test("an account that was charged more than it was granted has overspent", () => {
    const verdict = compare(
      facts({ granted: new Map([["acc_1", due - 1n]]) }, { balances: new Map([["acc_1", -1n]]) }),
    );
    expect(verdict).toMatchObject({ overspent: ["acc_1"], ledgerDifference: 0n });
    expect(isClean(verdict)).toBe(false);
  });

  test.each<[string, Partial<Facts>, Partial<Books>, string]>([
    ["a whole answer booked as cut", {}, { usage: [{ ...row, status: "upstream_cut" }] }, "booked as upstream_cut"],
    ["a write-off", {}, { writtenOff: 5n }, "5 micro-tokens were written off"],
    ["a charge without any upstream", { observations: [], deliveries: [] }, {}, "the upstream never saw them"],
    ["a broken invariant", {}, { broken: ["entries form a chain: []"] }, "entries form a chain"],
    [
      "no usage, and no estimate",
      { deliveries: [{ ...delivery, usage: undefined }] },
      {},
      "not charged by an estimate",
    ],
  ])("%s is a finding", (_name, more, books_, sentence) => {
    const verdict = compare(facts(more, books_));
    expect(verdict.findings.join()).toContain(sentence);
    expect(isClean(verdict)).toBe(false);
  });

  test.each<[string, Partial<Books>, bigint]>([
    ["a balance that moved without a charge", { balances: new Map([["acc_1", grant]]) }, due],
    [
      "an account nobody granted anything",
      {
        balances: new Map([
          ["acc_1", grant - due],
          ["acc_9", 7n],
        ]),
      },
      7n,
    ],
    ["entries that do not cancel out", { entrySum: -3n }, 3n],
  ])("%s is a difference", (_name, books_, difference) => {
    expect(compare(facts({}, books_)).ledgerDifference).toBe(difference);
  });
});

test("the report begins with the line of the promise and ends with the seed", () => {
  const lines = reportLines({
    scenario: "random",
    seed: 42,
    seconds: 60,
    clean: true,
    verdict: compare(facts()),
    sent: 1,
    heldBack: 0,
    answers: { whole: 1 },
    inserted: 10,
    duplicates: 3,
    sentAgain: 2,
    kills: [
      { kind: "nats", target: "nats", atMs: 0, recoveredS: 1.5, overlapped: false },
      { kind: "nats", target: "nats", atMs: 0, recoveredS: 9, overlapped: true },
      { kind: "gateway", target: "gateway-1", atMs: 0, recoveredS: undefined, overlapped: false },
    ],
    actions: { kill: 3 },
    restless: [],
    endedByItself: [],
    quietAfterS: 1,
    folder: undefined,
  });
  expect(lines[0]).toBe("delivered 1, charged 1, lost 0, doubled 0, overspent 0, ledger difference 0");
  expect(lines).toContain(
    "duplicates per real event: 0.300 (3 of 10), of which faults put 2 into the stream: 0.100 without them",
  );
  expect(lines).toContain("kills: gateway 1, nats 2");
  expect(lines).toContain("  nats          n 1, median 1.50, p99 1.50, max 1.50");
  expect(lines.at(-1)).toBe("scenario random, seed 42: clean");
});
