import { generateApiKey } from "@codex/kernel";
import { eventually } from "@codex/testkit";
import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { connect } from "node:net";
import { startWorld, type Customer, type World } from "./_world.ts";

// What a client can get wrong on /v1, and what a page can get wrong on /api: always the form of the surface, a request id,
// a sentence with a way on, and nothing of ours in it.

let world: World;
let customer: Customer;

beforeAll(async () => {
  world = await startWorld();
  customer = await world.customer(100_000_000n);
}, 120_000);

afterAll(async () => {
  await world.stop();
}, 60_000);

const chat = { model: "demo-small", messages: [{ role: "user", content: "hi" }] };

interface Ask {
  readonly method?: string;
  readonly path?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string;
}

async function ask({ method = "POST", path = "/v1/chat/completions", headers = {}, body = JSON.stringify(chat) }: Ask) {
  const response = await fetch(`${world.origin}${path}`, {
    method,
    headers: { authorization: `Bearer ${customer.apiKey}`, "content-type": "application/json", ...headers },
    ...(method === "GET" ? {} : { body }),
    signal: AbortSignal.timeout(20_000),
  });
  const text = await response.text();
  return {
    status: response.status,
    headers: response.headers,
    text,
    body: JSON.parse(text) as { error: Record<string, unknown> },
  };
}

const wrong = (patch: Readonly<Record<string, unknown>>): string => JSON.stringify({ ...chat, ...patch });

describe("/v1", () => {
  test.each<readonly [string, Ask, number, string]>([
    ["unknown route", { path: "/v1/unknown" }, 404, "route_not_found"],
    ["/v1 twice", { path: "/v1/v1/chat/completions" }, 404, "route_not_found"],
    ["wrong method", { method: "GET" }, 405, "method_not_allowed"],
    ["malformed JSON", { body: '{"model":' }, 400, "malformed_json"],
    ["empty body", { body: "" }, 400, "malformed_json"],
    ["not an object", { body: "[]" }, 400, "invalid_request"],
    ["unknown field", { body: wrong({ temprature: 1 }) }, 400, "unknown_parameter"],
    ["wrong type", { body: wrong({ temperature: "hot" }) }, 400, "invalid_request"],
    ["no messages", { body: wrong({ messages: [] }) }, 400, "invalid_request"],
    ["not JSON by its type", { headers: { "content-type": "text/plain" } }, 415, "unsupported_media_type"],
    ["compressed", { headers: { "content-encoding": "gzip" } }, 415, "unsupported_media_type"],
    [
      "33 MB",
      { body: wrong({ messages: [{ role: "user", content: "x".repeat(33 * 1024 * 1024) }] }) },
      413,
      "request_too_large",
    ],
    ["empty key", { headers: { authorization: "" } }, 401, "missing_api_key"],
    ["malformed key", { headers: { authorization: "Bearer sk-123" } }, 401, "invalid_api_key"],
    [
      "well-formed unknown key",
      { headers: { authorization: `Bearer ${generateApiKey("cx", "live")}` } },
      401,
      "invalid_api_key",
    ],
    ["two different keys", { headers: { "x-api-key": generateApiKey("cx", "live") } }, 400, "conflicting_credentials"],
    ["unknown model", { body: wrong({ model: "demo-smal" }) }, 404, "model_not_found"],
  ])("%s", async (_name, request, status, code) => {
    const answer = await ask(request);
    expect({ status: answer.status, code: answer.body.error["code"] }).toEqual({ status, code });
    const requestId = answer.headers.get("x-request-id");
    expect(requestId).toMatch(/^req_/);
    expect(answer.headers.get("request-id")).toBe(requestId);
    expect(Object.keys(answer.body.error)).toEqual(expect.arrayContaining(["message", "type", "param", "code"]));
    expect(answer.body.error["message"]).toContain(String(requestId));
    expect(answer.text).not.toMatch(/at .*\.(ts|js):|node_modules|postgres|nats|ECONN|select /i);
  });

  test("the error names the field, the nearest model, and the methods that are allowed", async () => {
    expect((await ask({ body: wrong({ temprature: 1 }) })).body.error).toMatchObject({ param: "temprature" });
    expect((await ask({ body: wrong({ model: "demo-smal" }) })).body.error["message"]).toContain("demo-small");
    expect((await ask({ method: "GET" })).headers.get("allow")).toBe("POST");
    expect((await ask({ path: "/v1/v1/chat/completions" })).body.error["message"]).toContain("remove /v1");
  });

  test("a revoked key is refused within a second, and nothing is served afterwards", async () => {
    const other = await world.customer(1_000_000n);
    const headers = { authorization: `Bearer ${other.apiKey}` };
    expect((await ask({ headers })).status).toBe(200);
    expect((await other.browser.post(`/api/keys/${other.keyId}/revoke`, {})).status).toBe(200);
    const refused = await eventually(
      async () => {
        const answer = await ask({ headers });
        return answer.status === 401 ? answer : undefined;
      },
      { timeoutMs: 1_000, what: "the revocation to reach the gateway" },
    );
    expect(refused.body.error["code"]).toBe("key_revoked");
    expect(refused.headers.get("x-should-retry")).toBe("false");
  });

  test("a cookie does not open /v1, and a key does not open /api", async () => {
    expect((await customer.browser.get("/v1/models")).status).toBe(401);
    const response = await fetch(`${world.origin}/api/keys`, {
      headers: { authorization: `Bearer ${customer.apiKey}` },
    });
    expect(response.status).toBe(401);
    await response.body?.cancel();
  });

  test("two Authorization headers are refused, though node would keep the first in silence", async () => {
    const url = new URL(world.gateway.httpUrl ?? "");
    const answer = await raw(url, [
      "GET /v1/models HTTP/1.1",
      `Host: ${url.host}`,
      `Authorization: Bearer ${customer.apiKey}`,
      `Authorization: Bearer ${generateApiKey("cx", "live")}`,
      "Connection: close",
    ]);
    expect(answer).toContain("HTTP/1.1 400");
    expect(answer).toContain("conflicting_credentials");
    expect(answer).not.toContain(customer.apiKey);
  });

  test("the models list has prices and only what the key may use", async () => {
    const response = await fetch(`${world.origin}/v1/models`, {
      headers: { authorization: `Bearer ${customer.apiKey}` },
    });
    const list = (await response.json()) as { object: string; data: { id: string; pricing: Record<string, string> }[] };
    expect(list.object).toBe("list");
    expect(list.data.find((model) => model.id === "demo-small")?.pricing).toMatchObject({
      prompt: "0.0005",
      completion: "0.0015",
    });
  });

  test("the upstream gets a built request: none of the client's headers, none of the fields that identify it", async () => {
    const marker = "canary-4f1b";
    const body = wrong({ user: marker, metadata: { note: marker }, store: true });
    const answer = await ask({
      body,
      headers: { "x-forwarded-for": marker, cookie: `a=${marker}`, "openai-organization": marker },
    });
    expect(answer.status).toBe(200);
    const entry = world.upstream.journal.page(0, 10_000).entries.at(-1);
    expect(entry?.requestId).toBe(answer.headers.get("x-request-id"));
    expect(answer.headers.get("set-cookie")).toBeNull();
    expect(answer.headers.get("server")).toBeNull();
  });
});

describe("/api", () => {
  test.each([
    ["unknown route", "GET", "/api/keys/nothing/here", undefined, 404, "route_not_found"],
    ["wrong method", "POST", "/api/billing/balance", {}, 405, "method_not_allowed"],
    ["unknown field", "POST", "/api/keys", { name: "x", role: "admin" }, 400, "invalid_request"],
    ["wrong type", "POST", "/api/keys", { name: 5 }, 400, "invalid_request"],
    ["foreign service", "GET", "/api/gateway/channels", undefined, 403, "forbidden"],
    ["missing key", "POST", "/api/keys/key_01h2xcejqtf2nbrexx3vqjhp41/revoke", {}, 404, "not_found"],
  ] as const)("%s", async (_name, method, path, body, status, code) => {
    const answer = method === "GET" ? await customer.browser.get(path) : await customer.browser.post(path, body);
    expect({ status: answer.status, code: answer.body["code"] }).toEqual({ status, code });
    expect(answer.headers.get("content-type")).toContain("application/problem+json");
    expect(answer.body["requestId"]).toBe(answer.headers.get("x-request-id"));
  });

  test("nobody is anybody without a session, and identity headers from outside are ignored", async () => {
    for (const path of [
      "/api/auth/me",
      "/api/keys",
      "/api/billing/balance",
      "/api/billing/usage",
      "/images/quota",
      "/api/bonus/referral-code",
    ]) {
      const headers = { "x-account-id": customer.accountId, "x-user-role": "admin" };
      const response = await fetch(`${world.origin}${path}`, { headers });
      expect({ path, status: response.status }).toEqual({ path, status: 401 });
      await response.body?.cancel();
    }
  });
});

/** Sends bytes as they are, returns all that comes back. */
function raw(url: URL, lines: readonly string[]): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect(Number(url.port), url.hostname, () => socket.write(`${lines.join("\r\n")}\r\n\r\n`));
    let text = "";
    socket.setTimeout(5_000, () => socket.destroy(new Error("no answer")));
    socket.on("data", (chunk) => (text += chunk.toString("utf8")));
    socket.on("end", () => resolve(text));
    socket.on("error", reject);
  });
}
