import { eventually, leakCheck } from "@codex/testkit";
import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { ScriptedUpstream } from "./_scripted-upstream.ts";
import { readEvents, recordOf } from "./_streams.ts";
import { asOperator, channelBody, send, startWorld, type Answer, type World } from "./_world.ts";

// What a stream does between its channels and its client, in every text dialect: signs of life, another channel, revocation.

const leaks = leakCheck();
let world: World;

const dialects = [
  ["/v1/chat/completions", { messages: [{ role: "user", content: "hi" }] }, /^: keep-alive\n\n/],
  ["/v1/responses", { input: "hi" }, /^: keep-alive\n\n/],
  ["/v1/messages", { max_tokens: 50, messages: [{ role: "user", content: "hi" }] }, /^event: ping\n/],
] as const;

beforeAll(async () => {
  world = await startWorld({ GATEWAY_KEEP_ALIVE_MS: "100", GATEWAY_FIRST_BYTE_TIMEOUT_MS: "500" }, [
    "demo-silence-6",
    "kept",
    ...dialects.map((_dialect, index) => `${String(index)} demo-silence-0`),
  ]);
  for (const [index] of dialects.entries()) {
    const model = `${String(index)} demo-silence-0`;
    const created = await send(world.gateway, "POST", "/api/gateway/channels", {
      headers: asOperator(world.auth),
      body: { ...channelBody(`second ${model}`, world.upstream, []), models: { [model]: "demo-small" }, priority: 0 },
    });
    if (created.status !== 201) throw new Error(created.text);
  }
}, 60_000);

afterAll(async () => {
  await world.stop();
  await leaks.assertClean();
}, 30_000);

function ask(path: string, apiKey: string, body: object): Promise<Answer> {
  return send(world.gateway, "POST", path, { headers: { authorization: `Bearer ${apiKey}` }, body });
}

test.each(dialects.map((dialect, index) => [...dialect, index] as const))(
  "%s: given a channel that sends its head and no word, then signs of life come, the next channel answers, and one row is booked",
  async (path, body, sign, index) => {
    const { accountId, apiKey } = world.customer(100_000_000_000n);
    const answer = await ask(path, apiKey, { ...body, model: `${String(index)} demo-silence-0`, stream: true });
    expect(answer.status).toBe(200);
    expect(answer.text).toMatch(sign);
    expect(answer.text).toMatch(/\[DONE\]|response\.completed|message_stop/);
    const record = await recordOf(world, answer);
    expect(record).toMatchObject({ status: "ok", estimated: false, errorCode: null });
    expect(record.channel).toMatch(/^second /);
    expect(world.billing.usage(accountId)).toHaveLength(1);
  },
);

test.each(dialects.map(([path, body]) => [path, body] as const))(
  "%s: SEC-37 given a key revoked in mid-stream, then the answer is cut and charged as delivered",
  async (path, body) => {
    const { apiKey } = world.customer(100_000_000_000n);
    const response = await fetch(`${world.gateway.httpUrl ?? ""}${path}`, {
      method: "POST",
      signal: AbortSignal.timeout(20_000),
      headers: { authorization: `Bearer ${apiKey}`, "content-type": "application/json" },
      body: JSON.stringify({ ...body, model: "demo-slow", stream: true }),
    });
    const decoder = new TextDecoder();
    let text = "";
    let isRevoked = false;
    for await (const chunk of response.body as unknown as AsyncIterable<Uint8Array>) {
      text += decoder.decode(chunk, { stream: true });
      // The first words are there, and not only signs of life: now the key goes.
      if (isRevoked || !/"(content|delta|text)":"[^"]/.test(text)) continue;
      isRevoked = true;
      await world.keys.revoke(apiKey);
    }
    const last = readEvents(text).at(-1)!;
    expect(JSON.stringify(last.data)).toMatch(/key_revoked|authentication_error/);
    expect(await recordOf(world, response)).toMatchObject({ status: "upstream_cut", errorCode: "key_revoked" });
  },
);

test("given a stream whose connection ends a moment after its last event, then the next request goes over the same connection", async () => {
  const upstream = await ScriptedUpstream.start();
  try {
    upstream.script = (call, res) => {
      const choice = { index: 0, delta: { content: "hi" }, finish_reason: "stop" };
      const usage = { prompt_tokens: 1, completion_tokens: 1, total_tokens: 2 };
      const chunk = {
        id: "c",
        object: "chat.completion.chunk",
        created: 1,
        model: call.model,
        choices: [choice],
        usage,
      };
      res.writeHead(200, { "content-type": "text/event-stream" });
      res.write(`data: ${JSON.stringify(chunk)}\n\ndata: [DONE]\n\n`);
      setTimeout(() => res.end(), 50);
    };
    const created = await send(world.gateway, "POST", "/api/gateway/channels", {
      headers: asOperator(world.auth),
      body: { ...channelBody("kept", world.upstream, []), baseUrl: upstream.url, models: { kept: "m" }, priority: 9 },
    });
    expect(created.status).toBe(201);
    const { apiKey } = world.customer(100_000_000_000n);
    const body = { messages: [{ role: "user", content: "hi" }], model: "kept", stream: true };
    // The client has its last event before the upstream's connection is free, so not every request finds it so.
    await eventually(
      async () => {
        expect(await ask("/v1/chat/completions", apiKey, body)).toMatchObject({ status: 200 });
        return new Set(upstream.calls.map(({ port }) => port)).size < upstream.calls.length;
      },
      { timeoutMs: 15_000, everyMs: 200, what: "a connection to serve again" },
    );
  } finally {
    await upstream.close();
  }
}, 30_000);
