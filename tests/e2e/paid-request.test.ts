import { imageQuota, referralCodeGet } from "@codex/contracts";
import { parseAmount } from "@codex/kernel";
import { eventually } from "@codex/testkit";
import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import OpenAI from "openai";
import { startWorld, type Customer, type World } from "./_world.ts";

// The main job, from sign-up to receipt, with the official client, through real Postgres, NATS and Redis.

let world: World;

beforeAll(async () => {
  world = await startWorld();
}, 120_000);

afterAll(async () => {
  await world.stop();
}, 60_000);

const tokens = 1_000_000n;

function client(customer: Pick<Customer, "apiKey">): OpenAI {
  return new OpenAI({ baseURL: `${world.origin}/v1`, apiKey: customer.apiKey, maxRetries: 0, timeout: 20_000 });
}

interface UsageLine {
  readonly requestId: string;
  readonly status: string;
  readonly charged: string;
  readonly estimated: boolean;
  readonly errorCode: string | null;
  readonly tokens: { readonly input: number; readonly output: number };
}

/** The usage line of a request, awaited for at most a second: that is the promise. */
function usageLine(customer: Customer, requestId: string | null | undefined): Promise<UsageLine> {
  return eventually(
    async () => {
      const { body } = await customer.browser.get("/api/billing/usage");
      return (body as unknown as { usage: UsageLine[] }).usage.find((line) => line.requestId === requestId);
    },
    { timeoutMs: 1_000, what: `the charge of ${String(requestId)}` },
  );
}

describe("a customer with balance", () => {
  test("completes a plain chat; the charge appears under the same request id, and the balance goes down by exactly it", async () => {
    const customer = await world.customer(1_000n * tokens);
    const { data, response, request_id } = await client(customer)
      .chat.completions.create({
        model: "demo-small",
        messages: [{ role: "user", content: "Hello there" }],
        max_completion_tokens: 50,
      })
      .withResponse();
    expect(data.choices[0]?.message.content).toBeTruthy();
    expect(response.headers.get("x-request-id")).toBe(request_id);
    const usage = data.usage as unknown as {
      prompt_tokens: number;
      completion_tokens: number;
      cost_details: { amount: string };
    };
    const line = await usageLine(customer, request_id);
    expect(line).toMatchObject({ status: "ok", charged: usage.cost_details.amount, estimated: false });
    expect(line.tokens).toMatchObject({ input: usage.prompt_tokens, output: usage.completion_tokens });
    const charged = parseAmount(line.charged)!;
    expect(charged).toBeGreaterThan(0n);
    // Money on the gateway's lease is held, so what must fit is paid − charge.
    const { body } = await customer.browser.get("/api/billing/balance");
    expect(parseAmount(String(body["paid"]))).toBe(1_000n * tokens - charged);
    const credits = await fetch(`${world.origin}/v1/credits`, {
      headers: { authorization: `Bearer ${customer.apiKey}` },
      signal: AbortSignal.timeout(5_000),
    });
    expect(await credits.json()).toMatchObject({
      data: { total_credits: 1_000, total_usage: Number(line.charged), spent: line.charged },
    });
  });

  test("completes a streamed chat; the last chunk says what it cost, and the ledger says the same", async () => {
    const customer = await world.customer(1_000n * tokens);
    const { data: stream, request_id } = await client(customer)
      .chat.completions.create({
        model: "demo-small",
        stream: true,
        messages: [{ role: "user", content: "Расскажи о себе" }],
      })
      .withResponse();
    let text = "";
    let amount: string | undefined;
    for await (const chunk of stream) {
      text += chunk.choices[0]?.delta.content ?? "";
      amount =
        (chunk.usage as { cost_details?: { amount: string } } | null | undefined)?.cost_details?.amount ?? amount;
    }
    expect(text.length).toBeGreaterThan(10);
    expect((await usageLine(customer, request_id)).charged).toBe(amount);
  });

  test("sees a receipt whose lines add up to the charge", async () => {
    const customer = await world.customer(1_000n * tokens);
    const { request_id } = await client(customer)
      .chat.completions.create({ model: "demo-large", messages: [{ role: "user", content: "hi" }] })
      .withResponse();
    await usageLine(customer, request_id);
    const { status, body } = await customer.browser.get(`/api/billing/usage/${String(request_id)}`);
    expect(status).toBe(200);
    const receipt = body as unknown as { lines: { exact: string }[]; charged: string; transferId: string | null };
    expect(receipt.transferId).toMatch(/^trf_/);
    const exact = receipt.lines.reduce((sum, line) => sum + exactPicoTokens(line.exact), 0n);
    // One rounding, to the nearest micro-token: the two differ by half of one at most.
    const difference = exact - parseAmount(receipt.charged)! * 1_000_000n;
    expect(difference < 0n ? -difference : difference).toBeLessThanOrEqual(500_000n);
  });

  test("cannot see another's usage or receipt: the answer is that of a missing one", async () => {
    const [owner, other] = [await world.customer(10n * tokens), await world.customer(0n)];
    const { request_id } = await client(owner)
      .chat.completions.create({
        model: "demo-small",
        messages: [{ role: "user", content: "hi" }],
        max_completion_tokens: 5,
      })
      .withResponse();
    await usageLine(owner, request_id);
    const foreign = await other.browser.get(`/api/billing/usage/${String(request_id)}`);
    const missing = await other.browser.get(`/api/billing/usage/${String(request_id).replace(/.$/, "0")}`);
    expect(foreign.status).toBe(404);
    expect({ ...foreign.body, requestId: "" }).toEqual({ ...missing.body, requestId: "" });
    expect((await other.browser.get("/api/billing/usage")).body["usage"]).toEqual([]);
  });

  test("pays for what was delivered when it leaves in the middle, and the upstream is told to stop", async () => {
    const customer = await world.customer(1_000n * tokens);
    const abort = new AbortController();
    const { data: stream, request_id } = await client(customer)
      .chat.completions.create(
        { model: "demo-slow", stream: true, messages: [{ role: "user", content: "long story" }] },
        { signal: abort.signal },
      )
      .withResponse();
    let seen = 0;
    for await (const chunk of stream) {
      if (chunk.choices[0]?.delta.content) seen += 1;
      if (seen === 2) break;
    }
    abort.abort();
    const line = await eventually(() => usageLine(customer, request_id).catch(() => undefined), {
      timeoutMs: 5_000,
      what: "the charge of an aborted stream",
    });
    expect(line).toMatchObject({ status: "client_closed", estimated: true });
    expect(parseAmount(line.charged)).toBeGreaterThan(0n);
  });

  test("keeps its data and its exact balance over a restart of the gateway", async () => {
    const customer = await world.customer(100n * tokens);
    const ask = () =>
      client(customer)
        .chat.completions.create({
          model: "demo-small",
          messages: [{ role: "user", content: "hi" }],
          max_completion_tokens: 5,
        })
        .withResponse();
    const first = await ask();
    await usageLine(customer, first.request_id);
    await world.restartGateway();
    // A stopped gateway has closed its leases: nothing stays held.
    await eventually(async () => (await customer.browser.get("/api/billing/balance")).body["held"] === "0.000000", {
      what: "the held money to come back",
    });
    const second = await ask();
    const lines = [await usageLine(customer, first.request_id), await usageLine(customer, second.request_id)];
    const spent = lines.reduce((sum, line) => sum + parseAmount(line.charged)!, 0n);
    expect(parseAmount(String((await customer.browser.get("/api/billing/balance")).body["paid"]))).toBe(
      100n * tokens - spent,
    );
  });
});

describe("an upstream that fails", () => {
  test("in the middle of a stream: an error event, no [DONE], and a charge for what was delivered", async () => {
    const customer = await world.customer(1_000n * tokens);
    const response = await fetch(`${world.origin}/v1/chat/completions`, {
      method: "POST",
      headers: { authorization: `Bearer ${customer.apiKey}`, "content-type": "application/json" },
      body: JSON.stringify({
        model: "demo-midstream-cut",
        stream: true,
        messages: [{ role: "user", content: "tell me" }],
      }),
    });
    const text = await response.text();
    expect(response.status).toBe(200);
    expect(text).toContain('"code":"stream_interrupted"');
    expect(text).not.toContain("[DONE]");
    const line = await usageLine(customer, response.headers.get("x-request-id"));
    expect(line).toMatchObject({ status: "upstream_cut", errorCode: "stream_interrupted" });
    expect(parseAmount(line.charged)).toBeGreaterThan(0n);
  });

  test.each([
    ["demo-error-429", 429],
    ["demo-error-503", 503],
  ])("%s: status %i in OpenAI's form, nothing charged", async (model, status) => {
    const customer = await world.customer(1_000n * tokens);
    const failed: unknown = await client(customer)
      .chat.completions.create({ model, messages: [{ role: "user", content: "hi" }] })
      .catch((error: unknown) => error);
    expect(failed).toBeInstanceOf(OpenAI.APIError);
    const error = failed as InstanceType<typeof OpenAI.APIError>;
    expect(error.status).toBe(status);
    expect(await usageLine(customer, error.requestID)).toMatchObject({ status: "upstream_error", charged: "0.000000" });
  });

  test("that reports no usage or a lie: our own estimate is charged and marked, never more than the hold", async () => {
    const customer = await world.customer(1_000n * tokens);
    for (const model of ["demo-no-usage", "demo-hostile-usage"]) {
      const { request_id } = await client(customer)
        .chat.completions.create({ model, messages: [{ role: "user", content: "hi" }] })
        .withResponse();
      const line = await usageLine(customer, request_id);
      expect(line).toMatchObject({ status: "ok", estimated: true });
      expect(parseAmount(line.charged)).toBeGreaterThan(0n);
    }
  });
});

describe("an account without enough balance", () => {
  test("is refused with 402, what is missing and no retry; nothing reaches the upstream", async () => {
    const customer = await world.customer(0n);
    const before = world.upstream.journal.page(0, 10_000).entries.length;
    const failed: unknown = await client(customer)
      .chat.completions.create({ model: "demo-small", messages: [{ role: "user", content: "hi" }] })
      .catch((error: unknown) => error);
    const error = failed as InstanceType<typeof OpenAI.APIError>;
    expect(error.status).toBe(402);
    expect(error.headers?.get("x-should-retry")).toBe("false");
    expect(error.error).toMatchObject({
      type: "insufficient_quota",
      code: "insufficient_quota",
      metadata: { reason: "credit_balance_exhausted", available: "0.000000" },
    });
    expect(world.upstream.journal.page(0, 10_000).entries.length).toBe(before);
  });

  test("gets a shorter answer when it set no bound and a shorter one fits", async () => {
    const customer = await world.customer(2n * tokens);
    const answer = await client(customer).chat.completions.create({
      model: "demo-small",
      messages: [{ role: "user", content: "hi" }],
    });
    expect(answer.choices[0]?.message.content).toBeTruthy();
    expect(await customer.browser.available()).toBeGreaterThanOrEqual(0n);
  });

  test("a long prompt is let in when its counted tokens fit, though its bytes would not", async () => {
    const customer = await world.customer(10n * tokens);
    const content = "word ".repeat(8_000);
    const answer = await client(customer).chat.completions.create({
      model: "demo-small",
      max_completion_tokens: 10,
      messages: [{ role: "user", content }],
    });
    expect(answer.choices).toHaveLength(1);
    expect(await customer.browser.available()).toBeGreaterThanOrEqual(0n);
  });

  test("a hundred parallel requests with money for a few: none of the others is served, and the balance never goes below zero", async () => {
    const customer = await world.customer(400_000n);
    const ask = {
      model: "demo-small",
      max_completion_tokens: 50,
      messages: [{ role: "user" as const, content: "hi" }],
    };
    const outcomes = await Promise.allSettled(
      Array.from({ length: 100 }, () => client(customer).chat.completions.create(ask).withResponse()),
    );
    const served = outcomes.filter((outcome) => outcome.status === "fulfilled");
    expect(served.length).toBeGreaterThan(0);
    for (const outcome of served) await usageLine(customer, outcome.value.request_id);
    const { body } = await customer.browser.get("/api/billing/balance");
    expect(parseAmount(String(body["available"]))).toBeGreaterThanOrEqual(0n);
    const charged = await Promise.all(served.map((outcome) => usageLine(customer, outcome.value.request_id)));
    const sum = charged.reduce((total, line) => total + parseAmount(line.charged)!, 0n);
    expect(parseAmount(String(body["paid"]))).toBe(400_000n - sum);
  }, 60_000);
});

describe("the other services", () => {
  test("answer on their routes and on the bus", async () => {
    const customer = await world.customer(0n);
    const code = await customer.browser.get("/api/bonus/referral-code");
    expect(code.status).toBe(200);
    const again = await world.bus.call(referralCodeGet, { accountId: customer.accountId });
    expect(again).toMatchObject({ ok: true, value: { code: code.body["code"] } });
    expect((await customer.browser.get("/images/quota")).body).toMatchObject({ images: 0, bytes: 0 });
    expect(await world.bus.call(imageQuota, { accountId: customer.accountId })).toMatchObject({
      ok: true,
      value: { images: 0 },
    });
  });
});

/** "0.000000123456" → picotokens, 10⁻¹². */
function exactPicoTokens(text: string): bigint {
  const [whole = "0", fraction = ""] = text.split(".");
  return BigInt(whole) * 10n ** 12n + BigInt(fraction.padEnd(12, "0"));
}
