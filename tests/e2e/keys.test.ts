import { eventually } from "@codex/testkit";
import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { startWorld, type Customer, type World } from "./_world.ts";

// What an owner sees and sets of a key, from the dashboard's API to the gateway and back, through the edge.

let world: World;
beforeAll(async () => {
  world = await startWorld({ gatewaySettings: { GATEWAY_KEY_CACHE_BOUND_MS: "500" } });
}, 180_000);
afterAll(() => world.stop(), 60_000);

const request = (
  method: string,
  path: string,
  { apiKey }: Pick<Customer, "apiKey">,
  body?: object,
): Promise<Response> =>
  fetch(`${world.origin}${path}`, {
    method,
    headers: {
      authorization: `Bearer ${apiKey}`,
      "user-agent": "OpenAI/JS 6.1.0 secret-project-name",
      ...(body === undefined ? {} : { "content-type": "application/json" }),
    },
    body: body === undefined ? null : JSON.stringify(body),
    signal: AbortSignal.timeout(20_000),
  });
const chat = async (customer: Customer): Promise<{ readonly status: number; readonly code: string | undefined }> => {
  const messages = [{ role: "user", content: "hi" }];
  const answer = await request("POST", "/v1/chat/completions", customer, {
    model: "demo-small",
    max_tokens: 20,
    messages,
  });
  const { error } = (await answer.json()) as { error?: { code?: string; metadata?: { reason?: string } } };
  // Some refusals have the code of OpenAI's own, and ours beside it.
  return { status: answer.status, code: error?.metadata?.reason ?? error?.code };
};
const listed = async ({ browser, keyId }: Customer): Promise<Readonly<Record<string, unknown>> | undefined> => {
  const { keys } = (await browser.get("/api/keys")).body as { keys: readonly Readonly<Record<string, unknown>>[] };
  return keys.find((key) => key["keyId"] === keyId);
};

test("SEC-38 given a key in use, when its owner looks, then the hour and the kind of client are there, and no more of either", async () => {
  const customer = await world.customer(10_000_000_000n);
  expect(await listed(customer)).toMatchObject({ lastUsedAt: null, lastUsedClient: null });
  expect((await chat(customer)).status).toBe(200);
  const used = await eventually(
    async () => {
      const key = await listed(customer);
      return key?.["lastUsedAt"] === null ? undefined : key;
    },
    { what: "the use to be told", timeoutMs: 60_000 },
  );
  expect(used["lastUsedClient"]).toBe("openai-node");
  expect(String(used["lastUsedAt"])).toMatch(/T\d\d:00:00\.000Z$/);
  expect(JSON.stringify(used)).not.toContain("secret-project-name");
}, 90_000);

test("SEC-38 given models, addresses, an end and caps that are set and lifted, when the key is used, then the gateway holds each within its cache bound", async () => {
  const customer = await world.customer(10_000_000_000n);
  const set = async (body: object): Promise<void> => {
    expect((await customer.browser.patch(`/api/keys/${customer.keyId}`, body)).status).toBe(200);
  };
  const becomes = (wanted: string | undefined, what: string): Promise<unknown> =>
    eventually(async () => (await chat(customer)).code === wanted, { what, timeoutMs: 30_000 });
  expect((await chat(customer)).status).toBe(200);
  await set({ models: ["demo-large"] });
  await becomes("model_not_allowed", "the model to be refused");
  await set({ models: null, allowedIps: ["203.0.113.0/24"] });
  await becomes("key_not_allowed", "the address to be refused");
  await set({ allowedIps: null, caps: { daily: "0.000000", monthly: null, total: null } });
  await becomes("key_limit_exhausted", "the cap to be held");
  await set({ caps: null });
  await becomes(undefined, "all of it to be lifted");
  await set({ limits: { requestsPerMinute: 1, tokensPerMinute: null, concurrentRequests: null } });
  await becomes("requests_per_minute_exceeded", "the limit to be held");
}, 120_000);

test("SEC-39 given a key in use, when somebody reports it through the edge, then it is refused everywhere within seconds, its owner is mailed, and the log of its account says why", async () => {
  const customer = await world.customer(10_000_000_000n);
  expect((await chat(customer)).status).toBe(200);
  const report = await fetch(`${world.origin}/v1/security/key-report`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ key: customer.apiKey }),
    signal: AbortSignal.timeout(10_000),
  });
  expect([report.status, await report.json()]).toEqual([200, { object: "key_report", received: 1 }]);
  await eventually(async () => (await chat(customer)).code === "key_revoked", {
    what: "the key to be refused",
    timeoutMs: 5_000,
  });
  expect(await listed(customer)).toMatchObject({ status: "revoked" });
  const { lines } = (await customer.browser.get("/api/keys/audit")).body as { lines: readonly object[] };
  expect(lines).toMatchObject([
    { action: "key_reported", by: "service", target: customer.keyId },
    { action: "key_created", by: "you", target: customer.keyId },
  ]);
  const email = ((await customer.browser.get("/api/auth/me")).body as { account: { email: string } }).account.email;
  await eventually(
    async () => {
      const { body } = await customer.browser.get(`/api/auth/mailbox?to=${encodeURIComponent(email)}`);
      return JSON.stringify(body).includes(customer.apiKey.slice(0, 12));
    },
    { what: "the mail to its owner", timeoutMs: 30_000 },
  );
}, 60_000);
