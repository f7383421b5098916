import { leakCheck } from "@codex/testkit";
import { findError } from "@codex/http";
import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { readEvents } from "./_streams.ts";
import { send, startWorld, type Answer, type World } from "./_world.ts";

// The table of errors as clients meet it: code × dialect × plain or streamed, before the first byte and after it.

const leaks = leakCheck();
let world: World;
let apiKey: string;
let poorKey: string;

const faulty = [
  ...[400, 401, 402, 403, 404, 429, 500, 503, 529].map((status) => `demo-error-${String(status)}`),
  "demo-html-502",
];
/** A channel for each request: a refusal makes a key rest or a breaker open, and the next answer would be another one. */
const channelOf = (name: string, stream: boolean, model: string): string =>
  faulty.includes(model) ? `${name}-${String(stream)} ${model}` : model;
const channels = ["chat", "responses", "messages"].flatMap((name) =>
  [true, false].flatMap((stream) => faulty.map((model) => channelOf(name, stream, model))),
);

beforeAll(async () => {
  world = await startWorld({ GATEWAY_FIRST_BYTE_TIMEOUT_MS: "600", GATEWAY_BETWEEN_BYTES_TIMEOUT_MS: "600" }, [
    ...channels,
    "demo-hang",
    "demo-silence-0",
  ]);
  ({ apiKey } = world.customer(100_000_000_000n));
  poorKey = world.customer(0n).apiKey;
}, 60_000);

afterAll(async () => {
  await world.stop();
  await leaks.assertClean();
}, 30_000);

const dialects = {
  chat: {
    path: "/v1/chat/completions",
    body: { model: "demo-small", max_tokens: 20, messages: [{ role: "user", content: "secret words" }] },
  },
  responses: { path: "/v1/responses", body: { model: "demo-small", max_output_tokens: 20, input: "secret words" } },
  messages: {
    path: "/v1/messages",
    body: { model: "demo-small", max_tokens: 20, messages: [{ role: "user", content: "secret words" }] },
  },
} as const;
type DialectName = keyof typeof dialects;
const names = Object.keys(dialects) as DialectName[];

interface Ask {
  readonly model?: string;
  readonly key?: string | null;
  readonly more?: Readonly<Record<string, unknown>>;
  readonly raw?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly method?: string;
}

function ask(
  name: DialectName,
  stream: boolean,
  { model, key, more, raw, headers, method }: Ask,
  gateway = world.gateway,
): Promise<Answer> {
  const { path, body } = dialects[name];
  const whole = { ...body, stream, ...(model === undefined ? {} : { model: channelOf(name, stream, model) }), ...more };
  return send(gateway, method ?? "POST", path, {
    headers: { ...(key === null ? {} : { authorization: `Bearer ${key ?? apiKey}` }), ...headers },
    ...(method === "DELETE" ? {} : { body: raw ?? whole }),
  });
}

const cases: readonly (readonly [code: string, ask: Ask | (() => Ask)])[] = [
  ["missing_api_key", { key: null }],
  ["invalid_api_key", { key: "sk-of-somebody-else" }],
  ["conflicting_credentials", { headers: { "x-api-key": "another" } }],
  ["model_not_found", { model: "demo-smal" }],
  ["unknown_parameter", { more: { frobnicate: 1 } }],
  ["malformed_json", { raw: '{"model":' }],
  ["unsupported_media_type", { headers: { "content-type": "text/plain" } }],
  ["method_not_allowed", { method: "DELETE" }],
  ["credit_balance_exhausted", () => ({ key: poorKey })],
  ["upstream_rejected", { model: "demo-error-400" }],
  ["upstream_error", { model: "demo-error-401" }],
  ["upstream_error", { model: "demo-error-402" }],
  ["upstream_error", { model: "demo-error-403" }],
  ["upstream_error", { model: "demo-error-404" }],
  ["upstream_error", { model: "demo-error-500" }],
  ["upstream_error", { model: "demo-html-502" }],
  ["upstream_rate_limited", { model: "demo-error-429" }],
  ["upstream_unavailable", { model: "demo-error-503" }],
  ["upstream_unavailable", { model: "demo-error-529" }],
];

describe.each(names)("%s", (name) => {
  test.each(cases)(
    "%s, plain and streamed: status, body and headers of the table, no word of upstream or prompt",
    async (code, given) => {
      const entry = findError(code)!;
      for (const stream of [false, true]) {
        const answer = await ask(name, stream, typeof given === "function" ? given() : given);
        expectError(name, answer, code);
        expect(answer.text).not.toMatch(/Scripted|nginx|secret words|sk-demo/);
        if (["rate_limited", "unavailable"].includes(entry.kind))
          expect(answer.headers.get("retry-after")).toMatch(/^\d+$/);
        const noRetry = entry.kind === "unauthenticated" || entry.kind === "quota";
        expect(answer.headers.get("x-should-retry")).toBe(noRetry ? "false" : null);
      }
    },
  );

  test("an unknown model names the nearest ones", async () => {
    expect((await ask(name, false, { model: "demo-smal" })).text).toContain("demo-small");
  });
});

const statuses: Readonly<Record<string, number>> = {
  missing_api_key: 401,
  invalid_api_key: 401,
  conflicting_credentials: 400,
  model_not_found: 404,
  unknown_parameter: 400,
  malformed_json: 400,
  unsupported_media_type: 415,
  method_not_allowed: 405,
  credit_balance_exhausted: 402,
  upstream_rejected: 400,
  upstream_error: 502,
  upstream_rate_limited: 429,
  upstream_unavailable: 503,
};

function expectError(name: DialectName, answer: Answer, code: string): void {
  expect(answer.status).toBe(statuses[code]);
  expect(answer.headers.get("content-type")).toMatch(/^application\/json/);
  expect(answer.headers.get("x-request-id")).toBe(answer.headers.get("request-id"));
  if (name === "messages") {
    expect(answer.body).toEqual({
      type: "error",
      error: { type: expect.any(String), message: expect.stringContaining("— request req_") },
      request_id: answer.headers.get("request-id"),
    });
    return;
  }
  const isQuota = statuses[code] === 402;
  const error = answer.body["error"] as Readonly<Record<string, unknown>>;
  expect(Object.keys(error).slice(0, 4)).toEqual(["message", "type", "param", "code"]);
  expect(error["code"]).toBe(isQuota ? "insufficient_quota" : code);
  if (isQuota) expect(error).toMatchObject({ type: "insufficient_quota", param: null, metadata: { reason: code } });
}

describe("after a sign of life the status is sent, and the error is the last event", () => {
  test.each(["demo-hang", "demo-silence-0"])("%s: upstream_timeout, in each dialect's own form", async (model) => {
    const lively = await world.startGateway({ GATEWAY_KEEP_ALIVE_MS: "100" });
    for (const name of names) {
      const answer = await ask(name, true, { model }, lively);
      expect(answer.status).toBe(200);
      expect(answer.text).toMatch(name === "messages" ? /^event: ping\n/ : /^: keep-alive\n\n/);
      const last = readEvents(answer.text).at(-1)!;
      if (name === "chat") expect(last.data).toMatchObject({ error: { code: "upstream_timeout" } });
      if (name === "messages")
        expect(last).toMatchObject({ name: "error", data: { error: { type: "timeout_error" } } });
      if (name === "responses") {
        expect(last).toMatchObject({
          name: "response.failed",
          data: { response: { error: { code: "upstream_timeout" } } },
        });
      }
      expect(answer.text).not.toMatch(/\[DONE\]|message_stop|response\.completed/);
    }
  });

  test("a plain request waits in silence and gets the status", async () => {
    const answer = await ask("chat", false, { model: "demo-hang" });
    expect(answer.status).toBe(504);
  });
});

test("given too many requests, then 429 with a wait in whole seconds, in the dialect of the route", async () => {
  const strict = await world.startGateway({ GATEWAY_REQUESTS_PER_MINUTE: "1" });
  const once = () =>
    send(strict, "POST", "/v1/messages", {
      headers: { "x-api-key": apiKey, "anthropic-version": "2023-06-01" },
      body: dialects.messages.body,
    });
  await once();
  const refused = await once();
  expect(refused.status).toBe(429);
  expect(refused.body).toMatchObject({ type: "error", error: { type: "rate_limit_error" } });
  expect(refused.headers.get("retry-after")).toMatch(/^\d+$/);
});

test("given a body announced as larger than the bound, then 413 before it is sent", async () => {
  const answer = await ask("chat", false, { raw: JSON.stringify({ x: "y".repeat(33_554_432) }) });
  expect(answer.status).toBe(413);
  expect(answer.body["error"]).toMatchObject({ code: "request_too_large" });
});
