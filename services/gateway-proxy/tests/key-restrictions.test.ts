import { eventually, leakCheck } from "@codex/testkit";
import { afterAll, beforeAll, expect, test } from "@jest/globals";
import type { KeyRestrictions } from "./_stand-ins.ts";
import { chat, startWorld, type Answer, type World } from "./_world.ts";

// SEC-38: each thing an owner may set of a key is held by the gateway, without asking anybody.

const leaks = leakCheck();
let world: World;
const plenty = 100_000_000_000n;
const hour = 3_600_000;

beforeAll(async () => {
  world = await startWorld({}, ["demo-large"]);
}, 60_000);

afterAll(async () => {
  await world.stop();
  await leaks.assertClean();
}, 30_000);

interface Row {
  readonly of: KeyRestrictions;
  readonly caps?: { daily: bigint | null; monthly: bigint | null; total: bigint | null };
  /** Statuses of requests one after the other. */
  readonly statuses: readonly number[];
  readonly code?: string;
}

const none = { requestsPerMinute: null, tokensPerMinute: null, concurrentRequests: null };
const inMs = (ms: number): string => new Date(Date.now() + ms).toISOString();

const table: readonly (readonly [string, () => Row])[] = [
  ["nothing set", () => ({ of: {}, statuses: [200] })],
  ["the model in its list", () => ({ of: { models: ["demo-small"] }, statuses: [200] })],
  ["another model", () => ({ of: { models: ["demo-large"] }, statuses: [403], code: "model_not_allowed" })],
  [
    "two requests a minute",
    () => ({
      of: { limits: { ...none, requestsPerMinute: 2 } },
      statuses: [200, 200, 429],
      code: "requests_per_minute_exceeded",
    }),
  ],
  [
    "few tokens a minute",
    () => ({
      of: { limits: { ...none, tokensPerMinute: 60 } },
      statuses: [200, 429],
      code: "tokens_per_minute_exceeded",
    }),
  ],
  ["an end that is to come", () => ({ of: { expiresAt: inMs(hour) }, statuses: [200, 200] })],
  ["an end that is over", () => ({ of: { expiresAt: inMs(-1) }, statuses: [401], code: "key_expired" })],
  ["its address", () => ({ of: { allowedIps: ["127.0.0.1"] }, statuses: [200] })],
  ["another address", () => ({ of: { allowedIps: ["192.0.2.1"] }, statuses: [403], code: "key_not_allowed" })],
];

test.each(table)("given a key with %s, then its requests end so", async (_what, row) => {
  const { of, statuses, code } = row();
  const apiKey = world.keys.issue(world.customer(plenty).accountId, undefined, of);
  const answers: Answer[] = [];
  while (answers.length < statuses.length) answers.push(await chat(world.gateway, apiKey));
  expect(answers.map(({ status }) => status)).toEqual(statuses);
  if (code !== undefined) expect(answers.at(-1)?.body["error"]).toMatchObject({ code });
});

test("given a key in the cache, when its end comes, then it is refused, though the registry goes on calling it active", async () => {
  const expiresAt = inMs(3_000);
  const apiKey = world.keys.issue(world.customer(plenty).accountId, undefined, { expiresAt });
  expect((await chat(world.gateway, apiKey)).status).toBe(200);
  const refusal = await eventually(
    async () => {
      const answer = await chat(world.gateway, apiKey);
      return answer.status !== 200 && answer;
    },
    { what: "the key to be over" },
  );
  expect(Date.now()).toBeGreaterThanOrEqual(Date.parse(expiresAt));
  expect(refusal.body["error"]).toMatchObject({ code: "key_expired" });
});
