import type { ChannelKind, ChannelSnapshot } from "@codex/contracts";
import { newId } from "@codex/kernel";
import { describe, expect, test } from "@jest/globals";
import type { IncomingHttpHeaders } from "node:http";
import type { Operation } from "../src/domain/operation.ts";
import { dialectFor, kinds, speaks } from "../src/upstream/kinds/index.ts";
import { opaqueUsers } from "../src/upstream/opaque-user.ts";
import { Cancellation } from "../src/upstream/cancellation.ts";
import { outgoing, type OutgoingCall } from "../src/upstream/outgoing.ts";
import { keysOf, routeOf, stateOf } from "./_channel.ts";

interface Sent {
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: unknown;
}

function send(
  kind: ChannelKind,
  operation: Operation,
  more: {
    readonly channel?: Partial<ChannelSnapshot>;
    readonly stream?: boolean;
    readonly body?: OutgoingCall["body"];
    readonly clientHeaders?: IncomingHttpHeaders;
    readonly contentType?: string;
    readonly userId?: string;
  } = {},
): Sent {
  const baseUrl = kinds[kind].defaultBaseUrl ?? "https://mine.example";
  const channel = stateOf({ kind, baseUrl, keys: keysOf("sk-1"), ...more.channel });
  const key = channel.keys[0];
  if (!key) throw new Error("no key");
  const { contentType, userId } = more;
  const call = { operation, body: more.body ?? {}, ...(contentType === undefined ? {} : { contentType }) };
  const facts = {
    stream: more.stream ?? false,
    requestId: "req_1",
    clientHeaders: more.clientHeaders ?? {},
    signal: new Cancellation(),
    ...(userId === undefined ? {} : { userId: () => userId }),
  };
  const sent = outgoing(routeOf(channel), key, call, facts);
  const body: unknown = typeof sent.body === "string" && contentType === undefined ? JSON.parse(sent.body) : sent.body;
  return { url: sent.origin + sent.path, headers: sent.headers, body };
}

const common = {
  "content-type": "application/json",
  accept: "application/json",
  "user-agent": "codex-api-gateway",
  "x-request-id": "req_1",
};

test.each<[ChannelKind, Operation, string, Readonly<Record<string, string>>]>([
  ["openai", "chat", "https://api.openai.com/v1/chat/completions", { authorization: "Bearer sk-1" }],
  ["openai", "responses", "https://api.openai.com/v1/responses", { authorization: "Bearer sk-1" }],
  ["openai", "imageEdits", "https://api.openai.com/v1/images/edits", { authorization: "Bearer sk-1" }],
  ["openai", "transcriptions", "https://api.openai.com/v1/audio/transcriptions", { authorization: "Bearer sk-1" }],
  ["openai", "moderations", "https://api.openai.com/v1/moderations", { authorization: "Bearer sk-1" }],
  [
    "anthropic",
    "messages",
    "https://api.anthropic.com/v1/messages",
    { "x-api-key": "sk-1", "anthropic-version": "2023-06-01" },
  ],
  [
    "anthropic",
    "countTokens",
    "https://api.anthropic.com/v1/messages/count_tokens",
    { "x-api-key": "sk-1", "anthropic-version": "2023-06-01" },
  ],
  [
    "gemini",
    "generateContent",
    "https://generativelanguage.googleapis.com/v1beta/models/up-m:generateContent",
    { "x-goog-api-key": "sk-1" },
  ],
  [
    "gemini",
    "embeddings",
    "https://generativelanguage.googleapis.com/v1beta/openai/embeddings",
    { authorization: "Bearer sk-1" },
  ],
  ["openrouter", "chat", "https://openrouter.ai/api/v1/chat/completions", { authorization: "Bearer sk-1" }],
  ["openrouter", "messages", "https://openrouter.ai/api/v1/messages", { authorization: "Bearer sk-1" }],
  [
    "azure-openai",
    "chat",
    "https://mine.example/openai/deployments/up-m/chat/completions?api-version=2024-10-21",
    { "api-key": "sk-1" },
  ],
  [
    "azure-openai",
    "speech",
    "https://mine.example/openai/deployments/up-m/audio/speech?api-version=2024-10-21",
    { "api-key": "sk-1", accept: "*/*" },
  ],
  ["azure-openai", "responses", "https://mine.example/openai/v1/responses", { "api-key": "sk-1" }],
  ["openai-compatible", "rerank", "https://mine.example/rerank", { authorization: "Bearer sk-1" }],
  ["openai-compatible", "completions", "https://mine.example/completions", { authorization: "Bearer sk-1" }],
])("%s, %s: exactly this address and these headers", (kind, operation, url, headers) => {
  const sent = send(kind, operation);
  expect(sent.url).toBe(url);
  expect(sent.headers).toEqual({ ...common, ...headers });
});

test("given a Gemini stream, then it is asked for in the path; model and stream are not in the body; a name cannot leave its place", () => {
  const body = (): Record<string, unknown> => ({ model: "m", stream: true, contents: [] });
  const sent = send("gemini", "generateContent", { stream: true, body: body() });
  expect(sent.url).toMatch(/\/v1beta\/models\/up-m:streamGenerateContent\?alt=sse$/);
  expect(sent.body).toEqual({ contents: [] });
  const odd = send("gemini", "generateContent", { channel: { models: { m: "models/../../x?y#z" } } });
  expect(odd.url).toMatch(/\/v1beta\/models\/..%2F..%2Fx%3Fy%23z:generateContent$/);
});

test("given Azure's deployment and version of the channel, then both are in the address, encoded", () => {
  const channel = { apiVersion: "2025-04-01-preview", models: { m: "my deployment/1" } };
  expect(send("azure-openai", "embeddings", { channel }).url).toBe(
    "https://mine.example/openai/deployments/my%20deployment%2F1/embeddings?api-version=2025-04-01-preview",
  );
});

describe("Anthropic's version and betas", () => {
  const headersFor = (clientHeaders: IncomingHttpHeaders, apiVersion: string | null = null) =>
    send("anthropic", "messages", { clientHeaders, channel: { apiVersion } }).headers;

  test("given the client's, then they go along; without them the channel's version does", () => {
    const beta = "claude-code-20250219, effort-2025-11-24";
    expect(headersFor({ "anthropic-version": "2026-10-21", "anthropic-beta": beta }, "2024-01-01")).toMatchObject({
      "anthropic-version": "2026-10-21",
      "anthropic-beta": beta,
    });
    expect(headersFor({}, "2024-01-01")["anthropic-version"]).toBe("2024-01-01");
  });

  test.each(["2023-06-01\r\nx: y", "latest", "2023-06-01 ", "é".repeat(4)])(
    "given the version %j, then it does not",
    (version) => {
      const headers = headersFor({ "anthropic-version": version, "anthropic-beta": "a\nb" });
      expect(headers["anthropic-version"]).toBe("2023-06-01");
      expect(headers).not.toHaveProperty("anthropic-beta");
    },
  );
});

test("given 200 headers of a client, then to no kind does any other go than the vendor's own (SEC-84)", () => {
  const names = [
    "authorization",
    "cookie",
    "host",
    "x-api-key",
    "api-key",
    "x-goog-api-key",
    "openai-organization",
    "openai-project",
    "x-forwarded-for",
    "forwarded",
    "connection",
    "transfer-encoding",
    "http-referer",
    "x-title",
    ...Array.from({ length: 190 }, (_, index) => `x-any-${String(index)}`),
  ];
  const clientHeaders = Object.fromEntries(names.map((name) => [name, "client"]));
  for (const kind of Object.keys(kinds) as ChannelKind[]) {
    const operation = kinds[kind].dialects[0] ?? "chat";
    const { headers } = send(kind, operation, { clientHeaders });
    expect(Object.values(headers)).not.toContain("client");
    expect(Object.keys(headers).length).toBeLessThan(8);
  }
});

describe("the body", () => {
  test("given fields that redirect, store, identify or choose a price, then no kind sends them", () => {
    const fields = [
      "user",
      "safety_identifier",
      "metadata",
      "service_tier",
      "background",
      "webhook",
      "callback",
      "api_base",
      "api_key",
    ];
    for (const kind of Object.keys(kinds) as ChannelKind[]) {
      const body = { ...Object.fromEntries(fields.map((name) => [name, "x"])), store: true, messages: [] };
      const sent = send(kind, kinds[kind].dialects[0] ?? "chat", { body });
      const left = Object.entries(sent.body as object).filter(
        ([name, value]) => fields.includes(name) || value === true,
      );
      expect(left).toEqual([]);
    }
  });

  test("given OpenAI, then max_tokens has its new name, usage is asked for in streams, and responses are not stored", () => {
    const chat = send("openai", "chat", {
      stream: true,
      body: { max_tokens: 5, stream_options: { include_obfuscation: false } },
    });
    expect(chat.body).toEqual({
      max_completion_tokens: 5,
      stream_options: { include_obfuscation: false, include_usage: true },
    });
    expect(send("openai", "chat", { body: { max_tokens: 5 } }).body).toEqual({ max_completion_tokens: 5 });
    expect(send("openai", "responses", { stream: true, body: { store: true } }).body).toEqual({ store: false });
    expect(send("openai-compatible", "chat", { body: { max_tokens: 5 } }).body).toEqual({ max_tokens: 5 });
  });

  test("given OpenRouter, then its usage is asked for, and nothing chooses another model or provider", () => {
    const body = {
      models: ["x"],
      route: "fallback",
      provider: {},
      transforms: [],
      plugins: [],
      preset: "p",
      messages: [],
    };
    expect(send("openrouter", "chat", { body }).body).toEqual({ messages: [], usage: { include: true } });
  });

  test("given bytes with a content type, then they go as they are", () => {
    const bytes = Buffer.from("--x\r\n\r\n--x--");
    const sent = send("openai", "transcriptions", { body: bytes, contentType: "multipart/form-data; boundary=x" });
    expect(sent.body).toBe(bytes);
    expect(sent.headers["content-type"]).toBe("multipart/form-data; boundary=x");
  });
});

test("each kind tells what it speaks, and the form a conversation goes to it in", () => {
  expect(speaks("anthropic", "chat")).toBe(false);
  expect(speaks("anthropic", "messages")).toBe(true);
  expect(speaks("gemini", "rerank")).toBe(false);
  expect(dialectFor("openai", "responses")).toBe("responses");
  expect(dialectFor("openai", "messages")).toBe("responses");
  expect(dialectFor("anthropic", "chat")).toBe("messages");
  expect(dialectFor("gemini", "chat")).toBe("generateContent");
  expect(dialectFor("openai-compatible", "responses")).toBe("chat");
  for (const kind of Object.keys(kinds) as ChannelKind[]) {
    for (const dialect of kinds[kind].dialects) expect(speaks(kind, dialect)).toBe(true);
  }
});

describe("SEC-95 who is behind a request", () => {
  const users = opaqueUsers("d1x9-Kq7_Zr4mT2wVb8nY5sLd3hGf6jPc0e");
  const accountId = newId("acc");
  const userId = users(accountId);
  const identified = (kind: ChannelKind, operation: Operation): unknown =>
    send(kind, operation, { body: { user: "the client's own", metadata: { user_id: "so" } }, userId }).body;

  test("given an account, then upstreams know it by one name that another account and another installation do not have, and that does not hold its id", () => {
    expect(userId).toMatch(/^u_[0-9a-f]{32}$/);
    expect(users(accountId)).toBe(userId);
    expect(users(newId("acc"))).not.toBe(userId);
    expect(opaqueUsers("another-master-key-of-32-bytes-or-more")(accountId)).not.toBe(userId);
    expect(userId).not.toContain(accountId.slice(4, 12));
  });

  test.each<[ChannelKind, Operation, Readonly<Record<string, unknown>>]>([
    ["openai", "chat", { safety_identifier: userId }],
    ["openai", "responses", { safety_identifier: userId, store: false }],
    ["openai", "embeddings", { user: userId }],
    ["openai", "images", { user: userId }],
    ["openai", "moderations", {}],
    ["azure-openai", "chat", { user: userId }],
    ["anthropic", "messages", { metadata: { user_id: userId } }],
    ["anthropic", "countTokens", {}],
    ["openrouter", "chat", { user: userId, usage: { include: true } }],
    // A field that they do not know may be a 400.
    ["openai-compatible", "chat", {}],
    ["gemini", "generateContent", {}],
  ])(
    "given a channel of the kind %s asked for %s, then it is told %j, and nothing of the client's own words",
    (kind, operation, body) => {
      expect(identified(kind, operation)).toEqual(body);
    },
  );
});
