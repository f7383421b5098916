import type { ApiKey } from "@codex/contracts";
import { newId } from "@codex/kernel";
import { describe, expect, test } from "@jest/globals";
import { emptyForm, fieldAt, formOf, readChange, readDraft, type KeyForm } from "../src/features/keys/key-form.ts";
import { keyState } from "../src/features/keys/key-state.ts";

const now = Date.UTC(2026, 10, 26);
const named = (form: Partial<KeyForm>): KeyForm => ({ ...emptyForm, name: "key", ...form });

const key: ApiKey = {
  keyId: newId("key"),
  name: "key",
  prefix: "cx_live_abcd",
  environment: "live",
  tags: ["a", "b"],
  status: "active",
  caps: { daily: 1_500_000n, monthly: null, total: 100_000_000n },
  limits: { requestsPerMinute: 60, tokensPerMinute: null, concurrentRequests: null },
  models: ["m"],
  allowedIps: ["10.0.0.0/8"],
  expiresAt: "2027-01-31T12:30:15.000Z",
  lastUsedAt: null,
  lastUsedClient: null,
  replacedBy: null,
  canBeShown: false,
  createdAt: "2026-01-01T00:00:00.000Z",
  revokedAt: null,
};

describe("the form of a new key", () => {
  test("given a name alone, then nothing else is sent but the environment and no tags", () => {
    expect(readDraft(named({}), now)).toEqual({ ok: true, body: { name: "key", environment: "live", tags: [] } });
  });

  test.each<[keyof KeyForm, string]>([
    ["daily", "a lot"],
    ["monthly", "-1"],
    ["total", "1.1234567"],
    ["requestsPerMinute", "0"],
    ["tokensPerMinute", "1e3"],
    ["concurrentRequests", "1000000001"],
    ["expiresAt", "2001-01-01T00:00"],
    ["allowedIps", "10.0.0.1\n10.0.0.256"],
    ["models", "x".repeat(129)],
    ["tags", Array.from({ length: 21 }, (_, index) => String(index)).join(",")],
    ["name", "  "],
  ])("given %s of %j, then that field alone is wrong", (field, value) => {
    const read = readDraft(named({ [field]: value }), now);
    expect(read).toEqual({ ok: false, faults: new Set([field]) });
  });

  test("given the service's pointers, then they are the same fields", () => {
    expect(["/caps/daily", "/limits/tokensPerMinute", "/allowedIps/3", "/name", ""].map(fieldAt)).toEqual([
      "daily",
      "tokensPerMinute",
      "allowedIps",
      "name",
      "name",
    ]);
  });
});

describe("the form of a change", () => {
  const before = formOf(key);

  test("given nothing was changed, then nothing is sent, also not an end to the second that the field cannot show", () => {
    expect(readChange(before, before, now)).toEqual({ ok: true, body: {} });
  });

  test("given one value of a group, then the group is sent whole and nothing else", () => {
    expect(readChange(before, { ...before, monthly: "10,5" }, now)).toEqual({
      ok: true,
      body: { caps: { daily: "1.5", monthly: "10.5", total: "100" } },
    });
  });

  test("given every field emptied, then every restriction is lifted", () => {
    expect(readChange(before, named({}), now)).toEqual({
      ok: true,
      body: { tags: [], caps: null, limits: null, models: null, allowedIps: null, expiresAt: null },
    });
  });

  test("given a number that is none, then it is refused and not taken for an empty field", () => {
    expect(readChange(before, { ...before, concurrentRequests: "two" }, now)).toEqual({
      ok: false,
      faults: new Set(["concurrentRequests"]),
    });
  });

  test("given an end that has passed and stays, then another change goes through", () => {
    const later = Date.UTC(2028, 0, 1);
    expect(readChange(before, { ...before, name: "other" }, later)).toEqual({ ok: true, body: { name: "other" } });
  });
});

describe("the state of a key", () => {
  const end = Date.parse("2027-01-31T12:30:15.000Z");
  test.each([
    ["active", {}, end - 1],
    ["expired", {}, end],
    ["replaced", { replacedBy: newId("key") }, end - 1],
    ["retired", { replacedBy: newId("key") }, end],
    ["revoked", { status: "revoked" as const, replacedBy: newId("key") }, end - 1],
  ])("is %s", (state, change, time) => {
    expect(keyState({ ...key, ...change }, time)).toBe(state);
  });
});
