import { balanceGet } from "@codex/contracts";
import { formatAmount, idToUuid, type AccountId } from "@codex/kernel";
import type { InProcessService } from "@codex/runtime";
import { eventually, propertyRuns } from "@codex/testkit";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "@jest/globals";
import pg from "pg";
import { brokenInvariants } from "../../services/billing-ledger/tests/_invariants.ts";
import { startGateUpstream, type GateUpstream } from "./_gate-upstream.ts";
import { startWorld, type World } from "./_world.ts";

// Two gateways and the ledger, and money that is just enough or just not: nobody spends what is not there, and nobody is
// refused for what only lies idle at another worker.

let world: World;
let gate: GateUpstream;
let gateways: readonly [InProcessService, InProcessService];
let database: pg.Pool;

beforeAll(async () => {
  world = await startWorld({ gatewaySettings: withoutLimits });
  gate = await startGateUpstream();
  database = new pg.Pool({ connectionString: world.database.adminUrl, max: 2, options: "-c search_path=billing" });
  database.on("error", () => undefined);
  gateways = [world.gateway, await world.anotherGateway()];
  const channel = await world.operator.post("/api/gateway/channels", {
    name: "gate",
    kind: "demo",
    baseUrl: gate.url,
    secret: "gate-secret",
    models: { "demo-large": "m" },
    priority: 9,
  });
  expect(channel.status).toBe(201);
}, 90_000);

afterEach(() => {
  gate.open();
});

afterAll(async () => {
  await gate.stop();
  await database.end();
  await world.stop();
}, 60_000);

/** Hundreds at once on one key: money has to be what refuses them. */
const withoutLimits = {
  GATEWAY_REQUESTS_PER_MINUTE: "1000000",
  GATEWAY_CONCURRENT_REQUESTS: "1000000",
  GATEWAY_ACCOUNT_REQUESTS_PER_MINUTE: "1000000",
  GATEWAY_ACCOUNT_CONCURRENT_REQUESTS: "1000000",
};

interface Answer {
  readonly status: number;
  readonly body: { readonly error?: { readonly code?: string; readonly message?: string } };
}

function post(gateway: InProcessService, apiKey: string, body: object, signal?: AbortSignal): Promise<Response> {
  return fetch(`${gateway.httpUrl ?? ""}/v1/chat/completions`, {
    method: "POST",
    headers: { authorization: `Bearer ${apiKey}`, "content-type": "application/json" },
    body: JSON.stringify({
      model: "demo-large",
      max_tokens: 1_000,
      messages: [{ role: "user", content: "hi" }],
      ...body,
    }),
    signal: signal ?? AbortSignal.timeout(60_000),
  });
}

async function ask(gateway: InProcessService, apiKey: string, body: object = {}): Promise<Answer> {
  const response = await post(gateway, apiKey, body);
  return { status: response.status, body: (await response.json()) as Answer["body"] };
}

async function balanceOf(accountId: AccountId) {
  const answer = await world.bus.call(balanceGet, { accountId });
  if (!answer.ok) throw new Error("balance refused");
  return answer.value;
}

/** As an SDK does: 503 says "try again", and on a machine that is busy with other tests some of 500 hear it. */
async function askUntilAnswered(gateway: InProcessService, apiKey: string): Promise<Answer> {
  for (let attempt = 1; ; attempt += 1) {
    const answer = await ask(gateway, apiKey);
    if (answer.status !== 503 || attempt === 5) return answer;
  }
}

/** What one request like those of {@link ask} holds, read from a refusal. */
async function holdOf(body: object = {}): Promise<bigint> {
  const { apiKey } = await world.customer(0n);
  const { body: refusal } = await ask(gateways[0], apiKey, body);
  const amount = /Top up by ([\d.]+)/.exec(refusal.error?.message ?? "")?.[1] ?? "";
  // The message tells the closer bound, by counted tokens; the first one, by bytes, is what is asked for.
  return BigInt(amount.replace(".", ""));
}

async function booksAgree(): Promise<void> {
  const query = async <Row extends pg.QueryResultRow>(text: string, values: readonly unknown[] = []) =>
    (await database.query<Row>(text, [...values])).rows;
  expect(await brokenInvariants(query)).toEqual([]);
}

describe("money that lies idle at another gateway", () => {
  test("given one gateway holds it, when the other needs it, then it gets it, and nobody hears 402", async () => {
    gate.open();
    const hold = await holdOf();
    const { accountId, apiKey } = await world.customer(hold * 3n);
    expect((await ask(gateways[0], apiKey)).status).toBe(200);
    const { heldMicroTokens, availableMicroTokens } = await balanceOf(accountId);
    expect(heldMicroTokens).toBeGreaterThan(hold / 2n);
    // Fits what there is, and not what is left beside the idle lease.
    const body = { max_tokens: 2_500 };
    expect(availableMicroTokens).toBeLessThan(await holdOf(body));
    expect(await ask(gateways[1], apiKey, body)).toMatchObject({ status: 200 });
    // And back again, at once.
    expect(await ask(gateways[0], apiKey, body)).toMatchObject({ status: 200 });
    await booksAgree();
  }, 30_000);

  test("given idle money of a capped key, when another key of the account needs it, then it gets it", async () => {
    gate.open();
    const hold = await holdOf();
    const { browser, apiKey } = await world.customer(hold * 3n);
    const caps = { daily: formatAmount(hold * 10n), monthly: null, total: null };
    const created = await browser.post("/api/keys", { name: "capped", caps });
    const { secret } = created.body as { secret: string };
    expect((await ask(gateways[0], secret)).status).toBe(200);
    expect(await ask(gateways[0], apiKey, { max_tokens: 2_500 })).toMatchObject({ status: 200 });
  }, 30_000);
});

describe("money for exactly three", () => {
  test("given 500 requests at once over two gateways, then exactly three are admitted, every time", async () => {
    const hold = await holdOf();
    for (let repeat = 0; repeat < propertyRuns(2); repeat += 1) {
      gate.close();
      const { accountId, apiKey } = await world.customer(hold * 3n + hold / 2n);
      const answers: Answer[] = [];
      const asking = Array.from({ length: 500 }, async (_value, at) => {
        answers.push(await askUntilAnswered(gateways[at % 2] ?? gateways[0], apiKey));
      });
      await eventually(() => answers.length === 497 && gate.waiting === 3, {
        timeoutMs: 45_000,
        what: `497 refusals and three that run (${String(repeat)})`,
      });
      expect(answers.filter(({ status }) => status !== 402)).toEqual([]);
      gate.open();
      await Promise.all(asking);
      expect(answers.filter(({ status }) => status === 200)).toHaveLength(3);
      const { rows } = await database.query("select from usage_line where account_id = $1", [idToUuid(accountId)]);
      expect(rows.length).toBeLessThanOrEqual(3);
      // Each was charged a fraction of its hold, so there is money for another one now.
      expect(await ask(gateways[repeat % 2] ?? gateways[0], apiKey)).toMatchObject({ status: 200 });
    }
    await eventually(
      async () => {
        await booksAgree();
        return true;
      },
      { what: "the books to agree" },
    );
  }, 600_000);
});

describe("a capped key", () => {
  test("given a daily cap below one request, then 402 names it and its reset; a raised cap is seen within the cache's bound", async () => {
    gate.open();
    const hold = await holdOf();
    const { browser, apiKey } = await world.customer(hold * 100n);
    const caps = { daily: formatAmount(hold / 10n), monthly: null, total: null };
    const created = await browser.post("/api/keys", { name: "capped", caps });
    const { secret, key } = created.body as { secret: string; key: { keyId: string } };
    const refused = await ask(gateways[0], secret);
    expect(refused).toMatchObject({
      status: 402,
      body: { error: { code: "insufficient_quota", metadata: { reason: "key_limit_exhausted" } } },
    });
    expect(refused.body.error?.message).toMatch(/daily cap of .* resets at \d{4}-\d\d-\d\dT00:00:00/);
    expect((await ask(gateways[0], apiKey)).status).toBe(200);
    const raised = await browser.patch(`/api/keys/${key.keyId}`, {
      caps: { ...caps, daily: formatAmount(hold * 10n) },
    });
    expect(raised).toMatchObject({ status: 200, body: { key: { caps: { daily: formatAmount(hold * 10n) } } } });
    await eventually(async () => (await ask(gateways[0], secret)).status === 200, {
      timeoutMs: 6_000,
      what: "the raised cap to be seen",
    });
  }, 30_000);
});

describe("an account that an operator blocks", () => {
  test("given money that a gateway holds, when the account is blocked, then its keys get 403 within moments; unblocked, they work", async () => {
    gate.open();
    const { accountId, apiKey } = await world.customer((await holdOf()) * 10n);
    expect((await ask(gateways[0], apiKey)).status).toBe(200);
    const path = `/api/auth/operator/accounts/${accountId}`;
    expect((await world.operator.post(`${path}/block`, { reason: "test" })).status).toBe(200);
    await eventually(async () => (await ask(gateways[0], apiKey)).body.error?.code === "account_frozen", {
      timeoutMs: 10_000,
      what: "the block to reach the gateway",
    });
    expect(await ask(gateways[1], apiKey)).toMatchObject({ status: 403 });
    expect((await world.operator.post(`${path}/unblock`, { reason: "test" })).status).toBe(200);
    await eventually(async () => (await ask(gateways[0], apiKey)).status === 200, {
      timeoutMs: 10_000,
      what: "the account to work again",
    });
    await booksAgree();
  }, 60_000);
});

describe("a provider without bounds", () => {
  test("given it streams for ever, then the answer ends at its hold, as one that reached its length, and the provider is let go", async () => {
    const { accountId, apiKey } = await world.customer((await holdOf()) * 10n);
    const gone = gate.goneAtMs.length;
    const response = await post(gateways[0], apiKey, { stream: true, max_tokens: 50 });
    const text = await response.text();
    expect(text.endsWith("data: [DONE]\n\n")).toBe(true);
    expect(text).toContain('"finish_reason":"length"');
    await eventually(() => gate.goneAtMs.length > gone, { timeoutMs: 1_000, what: "the provider to be let go" });
    const row = await eventually(
      async () => {
        const found = await database.query<{ hold: string; charged: string; estimated: boolean; status: string }>(
          "select hold::text, charged::text, estimated, status from usage_line where account_id = $1",
          [idToUuid(accountId)],
        );
        return found.rows[0];
      },
      { what: "the usage" },
    );
    expect(row).toMatchObject({ charged: row.hold, estimated: true, status: "ok" });
  }, 30_000);

  test("given the client leaves in mid-stream, then the provider is let go within a second, and what was delivered is charged", async () => {
    const { accountId, apiKey } = await world.customer((await holdOf()) * 10n);
    const abort = new AbortController();
    const response = await post(gateways[1], apiKey, { stream: true }, abort.signal);
    const reader = response.body?.getReader();
    await reader?.read();
    const gone = gate.goneAtMs.length;
    abort.abort();
    const leftAtMs = performance.now();
    await eventually(() => gate.goneAtMs.length > gone, { timeoutMs: 1_500, what: "the provider to be let go" });
    expect((gate.goneAtMs.at(-1) ?? Infinity) - leftAtMs).toBeLessThan(1_000);
    const row = await eventually(
      async () => {
        const found = await database.query<{ hold: string; charged: string; status: string }>(
          "select hold::text, charged::text, status from usage_line where account_id = $1",
          [idToUuid(accountId)],
        );
        return found.rows[0];
      },
      { what: "the usage" },
    );
    expect(row.status).toBe("client_closed");
    expect(BigInt(row.charged)).toBeGreaterThan(0n);
    expect(BigInt(row.charged)).toBeLessThan(BigInt(row.hold));
  }, 30_000);
});
