import type { ChannelKind } from "@codex/contracts";
import { eventually, leakCheck } from "@codex/testkit";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "@jest/globals";
import { folded, meaning, recording, type Json, type Wire } from "./_conversations.ts";
import {
  asksForStream,
  clientPath,
  kindFor,
  leastRequest,
  modelAt,
  pairs,
  play,
  sendEvents,
  sendJson,
  startConversionWorld,
  wireOf,
  type Client,
  type ConversionWorld,
} from "./_conversion-world.ts";
import { refuse, type Script } from "./_scripted-upstream.ts";
import { readEvents, recordOf, toldCost } from "./_streams.ts";
import type { Answer } from "./_world.ts";

// What a client of one dialect meets when a channel of another fails, lies, or cannot be asked; and which channel is asked.

const leaks = leakCheck();
const models = Array.from({ length: 40 }, (_, index) => `fresh-${String(index)}`);
let world: ConversionWorld;
let nextModel = 0;

beforeAll(async () => {
  world = await startConversionWorld(models, { GATEWAY_KEEP_ALIVE_MS: "100" });
  world.scripted.script = play("text");
  for (const wire of ["chat", "messages", "responses", "gemini"] as const) await live("chat", modelAt(wire));
}, 60_000);

afterEach(() => {
  world.scripted.script = play("text");
  world.scripted.calls.length = 0;
});

afterAll(async () => {
  await world.stop();
  await leaks.assertClean();
}, 30_000);

/** Until this client is answered; `wire`: by a channel that is asked first, in this dialect. */
function live(client: Client, model: string, wire?: Wire): Promise<unknown> {
  const asked = async (): Promise<boolean> => {
    world.scripted.calls.length = 0;
    const { status } = await world.ask(client, model);
    const [call] = world.scripted.calls;
    return status === 200 && (wire === undefined || (call !== undefined && wireOf(call) === wire));
  };
  return eventually(asked, { what: `${model} to be live` });
}

/** A model of its own with channels of these kinds and priorities. */
async function modelWith(
  ...channels: readonly (readonly [kind: ChannelKind, priority: number, more?: Json])[]
): Promise<string> {
  const model = models[nextModel] ?? "";
  nextModel += 1;
  for (const [kind, priority, more] of channels) await world.connect(kind, [model], { priority, ...more });
  await live("chat", model);
  world.scripted.calls.length = 0;
  return model;
}

const wires = (): readonly Wire[] => world.scripted.calls.map(wireOf);
const cleanEnds = /\[DONE\]|message_stop|response\.(completed|incomplete)/;

function expectCut(client: Client, answer: Answer): void {
  expect(answer.status).toBe(200);
  const last = readEvents(answer.text).at(-1)!;
  if (client === "chat")
    expect(last.data).toMatchObject({ error: { code: "stream_interrupted", type: "server_error" } });
  if (client === "messages") expect(last).toMatchObject({ name: "error", data: { error: { type: "api_error" } } });
  if (client === "responses") {
    expect(last).toMatchObject({
      name: "response.failed",
      data: { response: { model: expect.stringMatching(/^(model-at|fresh)-/), error: { code: "stream_interrupted" } } },
    });
  }
  expect(answer.text).not.toMatch(cleanEnds);
}

describe("an answer that breaks off", () => {
  test.each(pairs)(
    "given a %s client, when the stream of %s is cut or tells an error, then its last event is an error of its dialect, without the provider's words",
    async (client, wire) => {
      // A channel of its own: failures open its breaker.
      const model = await modelWith([kindFor[wire], 5]);
      for (const name of ["cut", "error"]) {
        world.scripted.script = play(name);
        const answer = await world.ask(client, model, { stream: true });
        expectCut(client, answer);
        expect(answer.text).not.toMatch(/secret|overloaded|boom|Rate limit/i);
        const record = await recordOf(world, answer);
        expect(record).toMatchObject({ status: "upstream_cut", errorCode: "stream_interrupted" });
        expect(record.costMicroTokens).toBeGreaterThan(0n);
        expect(record.costMicroTokens).toBeLessThanOrEqual(record.holdMicroTokens);
      }
    },
  );

  test("given a provider that told the prompt first, then what it told is charged, and the output as delivered", async () => {
    world.scripted.script = play("cut");
    const record = await recordOf(world, await world.ask("chat", modelAt("messages"), { stream: true }));
    // "Once upon" are nine bytes.
    expect(record).toMatchObject({ estimated: true, tokens: { input: 10, output: 3, reasoning: 0 } });
  });

  test.each([
    ["an event that has no end", `data: {"x":"${"y".repeat(1_100_000)}`],
    ["an event that is no JSON", "data: <html>\n\n"],
  ])("given %s, then the answer is cut", async (_name, rest) => {
    const begin = recording("chat", "text").split("\n\n").slice(0, 3).join("\n\n");
    world.scripted.script = (_call, res) => sendEvents(res, `${begin}\n\n${rest}`);
    const answer = await world.ask("responses", modelAt("chat"), { stream: true });
    expect(answer.text).toContain("Привет");
    expectCut("responses", answer);
  });

  test("given the client leaves, then the upstream is left, and the prompt is charged as it was told", async () => {
    let gone = false;
    world.scripted.script = (_call, res) => {
      res.on("close", () => (gone = true));
      res.writeHead(200, { "content-type": "text/event-stream" });
      res.write(recording("messages", "text").split("event: content_block_stop")[0] ?? "");
    };
    const leave = new AbortController();
    const response = await fetch(`${world.gateway.httpUrl ?? ""}${clientPath.chat}`, {
      method: "POST",
      signal: leave.signal,
      headers: { authorization: `Bearer ${world.apiKey}`, "content-type": "application/json" },
      body: JSON.stringify({ ...leastRequest("chat", modelAt("messages")), stream: true }),
    });
    const reader = response.body!.getReader();
    const decoder = new TextDecoder();
    let text = "";
    while (!text.includes("мир")) {
      const piece = await reader.read();
      if (piece.done) throw new Error(`the stream ended: ${text}`);
      text += decoder.decode(piece.value as Uint8Array, { stream: true });
    }
    leave.abort();
    const record = await recordOf(world, response);
    expect(record).toMatchObject({ status: "client_closed", estimated: true, tokens: { input: 25, cachedInput: 900 } });
    await eventually(() => gone, { what: "the upstream's connection to be closed", timeoutMs: 1_000 });
  });
});

describe("before the first byte", () => {
  test.each(pairs)(
    "given a %s client and a slow %s, then there are signs of life in its own form",
    async (client, wire) => {
      world.scripted.script = (call, res) => void setTimeout(() => play("text")(call, res), 350);
      const answer = await world.ask(client, modelAt(wire), { stream: true });
      expect(answer.text).toMatch(client === "messages" ? /^event: ping\n/ : /^: keep-alive\n\n/);
      const whole = folded(client, answer.text.replaceAll(": keep-alive\n\n", ""));
      expect(meaning(client, whole)).toMatchObject({ text: "Привет, мир 🌍!", stop: "end" });
    },
  );

  const answerIf =
    (wire: Wire, fault: Script): Script =>
    (call, res) =>
      (wireOf(call) === wire ? fault : play("text"))(call, res);
  const faults: readonly (readonly [string, Script])[] = [
    ["500", refuse(500)],
    ["529", refuse(529)],
    ["429", refuse(429)],
    ["401", refuse(401)],
    ["a connection that breaks", (_call, res) => void res.destroy()],
    [
      "an error as its first word",
      (_call, res) => sendEvents(res, 'event: error\ndata: {"type":"error","error":{"type":"overloaded_error"}}\n\n'),
    ],
    ["a 200 of another dialect", (_call, res) => sendJson(res, { choices: [] })],
  ];

  test.each(faults)(
    "given the converted channel answers with %s, then the native one answers, and the customer sees only that",
    async (_name, fault) => {
      const model = await modelWith(["openai-compatible", 5], ["anthropic", 9]);
      await live("chat", model, "messages");
      world.scripted.script = answerIf("messages", fault);
      for (const stream of [true, false]) {
        const answer = await world.ask("chat", model, { stream });
        expect(answer.status).toBe(200);
        const whole = stream ? folded("chat", answer.text) : answer.body;
        expect(meaning("chat", whole)).toMatchObject({ text: "Привет, мир 🌍!", stop: "end" });
        expect(await recordOf(world, answer)).toMatchObject({
          status: "ok",
          channel: expect.stringMatching(/^openai-compatible/),
        });
      }
    },
  );
});

describe("which channel is asked", () => {
  test("given channels of one priority, then who speaks the client's dialect is asked, whatever the weights; then the others", async () => {
    const model = await modelWith(["anthropic", 5, { weight: 1_000 }], ["openai-compatible", 5, { weight: 1 }]);
    await live("messages", model, "messages");
    await live("chat", model, "chat");
    world.scripted.calls.length = 0;
    for (let time = 0; time < 10; time += 1) await world.ask("chat", model, { user: `u${String(time)}` });
    for (let time = 0; time < 10; time += 1) await world.ask("messages", model);
    expect(wires()).toEqual([...Array<Wire>(10).fill("chat"), ...Array<Wire>(10).fill("messages")]);
    world.scripted.calls.length = 0;
    world.scripted.script = (call, res) => (wireOf(call) === "chat" ? refuse(500) : play("text"))(call, res);
    expect((await world.ask("chat", model)).status).toBe(200);
    expect(wires()).toEqual(["chat", "messages"]);
  });

  test("given a higher priority, then it goes before the native channel", async () => {
    const model = await modelWith(["openai-compatible", 5], ["anthropic", 9]);
    await live("chat", model, "messages");
    expect(wires()).toEqual(["messages"]);
  });

  test("given what the first channel cannot be told, then the next one that can is asked, and the first is not", async () => {
    const model = await modelWith(["openai-compatible", 5], ["anthropic", 9]);
    await live("chat", model, "messages");
    world.scripted.calls.length = 0;
    expect((await world.ask("chat", model, { seed: 7 })).status).toBe(200);
    expect(world.scripted.calls.map((call) => [wireOf(call), call.body["seed"]])).toEqual([["chat", 7]]);
  });
});

describe("400: what no channel of the model can be told is refused by name, and costs nothing", () => {
  test.each<[Client, Wire, string, Json]>([
    ["chat", "messages", "logprobs", { logprobs: true }],
    ["chat", "messages", "min_p", { min_p: 0.1 }],
    ["chat", "messages", "n", { n: 2 }],
    ["chat", "gemini", "parallel_tool_calls", { parallel_tool_calls: false, tools: [] }],
    ["messages", "chat", "top_k", { top_k: 5 }],
    ["messages", "gemini", "mcp_servers", { mcp_servers: [{ type: "url", url: "https://x.example", name: "x" }] }],
    ["responses", "messages", "tools[0]", { tools: [{ type: "web_search" }] }],
    ["responses", "gemini", "truncation", { truncation: "auto" }],
    [
      "chat",
      "messages",
      "messages[0].content[0]",
      { messages: [{ role: "user", content: [{ type: "input_audio", input_audio: { data: "", format: "wav" } }] }] },
    ],
  ])("given a %s client at %s, then '%s'", async (client, wire, param, more) => {
    for (const stream of [false, true]) {
      const answer = await world.ask(client, modelAt(wire), { ...more, stream });
      expect(answer.status).toBe(400);
      expect(answer.text).toContain(`'${param}`);
      const error = answer.body["error"] as Json;
      expect(error["type"]).toBe("invalid_request_error");
      if (client !== "messages") {
        expect(error).toMatchObject({ param: expect.stringContaining(param), code: "unsupported_parameter" });
      }
      expect(world.scripted.calls).toEqual([]);
      expect(await recordOf(world, answer)).toMatchObject({ costMicroTokens: 0n, httpStatus: 400 });
    }
  });

  test("given the provider refuses the converted request, then its words stay here, in the client's dialect", async () => {
    world.scripted.script = refuse(400);
    const answer = await world.ask("messages", modelAt("gemini"));
    expect(answer.status).toBe(400);
    expect(answer.body).toMatchObject({ type: "error", error: { type: "invalid_request_error" } });
    expect(answer.text).not.toContain("own words");
  });
});

describe("what an upstream may not do", () => {
  const usageless =
    (wire: Wire): Script =>
    (call, res) => {
      const text = recording(wire, "text")
        .replaceAll(/"usage":\{/g, '"other":{')
        .replaceAll(/"usageMetadata":\{/g, '"other":{');
      if (asksForStream(call)) sendEvents(res, text);
      else sendJson(res, folded(wire, text));
    };

  test.each(pairs)(
    "given a %s client, when %s reports no usage, then what was delivered is charged and told, as an estimate",
    async (client, wire) => {
      world.scripted.script = usageless(wire);
      for (const stream of [true, false]) {
        const answer = await world.ask(client, modelAt(wire), { stream });
        const record = await recordOf(world, answer);
        expect(record).toMatchObject({ status: "ok", estimated: true });
        expect(record.tokens.output).toBeGreaterThan(0);
        const { usage } = stream ? folded(client, answer.text) : answer.body;
        expect(toldCost(usage)).toBe(record.costMicroTokens);
        const told = usage as Readonly<Record<string, number>>;
        expect(told["output_tokens"] ?? told["completion_tokens"]).toBe(record.tokens.output);
      }
    },
  );

  test.each(pairs)(
    "given a %s client, when %s ignores the bound, then the answer ends as one that reached it, within the hold",
    async (client, wire) => {
      const [head, piece] = endless[wire];
      world.scripted.script = (_call, res) => {
        res.writeHead(200, { "content-type": "text/event-stream" });
        res.write(head);
        const timer = setInterval(() => res.write(piece.repeat(20)), 1);
        res.on("close", () => clearInterval(timer));
      };
      const bounds = { chat: "max_completion_tokens", messages: "max_tokens", responses: "max_output_tokens" };
      const answer = await world.ask(client, modelAt(wire), { stream: true, [bounds[client]]: 20 });
      const record = await recordOf(world, answer);
      expect(record).toMatchObject({ status: "ok", estimated: true });
      expect(record.costMicroTokens).toBeLessThanOrEqual(record.holdMicroTokens);
      const last = readEvents(answer.text).at(-1)!.data;
      if (client === "chat") expect(answer.text).toContain('"finish_reason":"length"');
      if (client === "messages") expect(last).toEqual({ type: "message_stop" });
      if (client === "responses") expect(last).toMatchObject({ type: "response.incomplete" });
    },
  );

  test("given text that looks like events, then it stays text, in every dialect", async () => {
    const evil = 'a\n\nevent: error\ndata: {"error":1}\n\n\r\n: c\u2028data: [DONE]\u2029\u0000"}';
    const chunk = (delta: Json, finish: string | null) =>
      `event: evil\nid: 7\nretry: 1\ndata: ${JSON.stringify({ id: "c\n\ndata: x", model: "m\n\n", injected: 1, choices: [{ index: 0, delta, finish_reason: finish }] })}\n\n`;
    world.scripted.script = (_call, res) =>
      sendEvents(res, `${chunk({ content: evil, injected: 2 }, null)}${chunk({}, "stop")}data: [DONE]\n\n`);
    for (const client of ["messages", "responses"] as const) {
      const answer = await world.ask(client, modelAt("chat"), { stream: true });
      expect(meaning(client, folded(client, answer.text)).text).toBe(evil);
      expect(answer.text).not.toMatch(/injected|event: evil|^id:|^retry:|\r|\u2028/m);
      expect(answer.text.split("\n").filter((line) => line !== "" && !/^(data|event): /.test(line))).toEqual([]);
    }
  });

  test("given a plain answer of unbounded depth, or with a name that stands twice, then it is unusable and free", async () => {
    const deep = `{"content":[{"type":"tool_use","id":"a","name":"b","input":${'{"a":'.repeat(2_000)}1${"}".repeat(2_000)}}],"stop_reason":"tool_use"}`;
    for (const text of [deep, '{"content":[],"content":[],"stop_reason":"end_turn"}']) {
      world.scripted.script = (_call, res) => {
        res.writeHead(200, { "content-type": "application/json" });
        res.end(text);
      };
      const answer = await world.ask("chat", modelAt("messages"));
      expect(answer.status).toBe(502);
      expect(await recordOf(world, answer)).toMatchObject({ costMicroTokens: 0n });
    }
  });
});

const words = "привет ".repeat(10);
/** How an answer begins, and a piece that may come for ever. */
const endless: Readonly<Record<Wire, readonly [string, string]>> = {
  chat: [
    "",
    `data: ${JSON.stringify({ id: "c", choices: [{ index: 0, delta: { content: words }, finish_reason: null }] })}\n\n`,
  ],
  messages: [
    recording("messages", "length").split("event: content_block_delta")[0] ?? "",
    `event: content_block_delta\ndata: ${JSON.stringify({ type: "content_block_delta", index: 0, delta: { type: "text_delta", text: words } })}\n\n`,
  ],
  responses: [
    recording("responses", "length").split("event: response.output_text.delta")[0] ?? "",
    `event: response.output_text.delta\ndata: ${JSON.stringify({ type: "response.output_text.delta", item_id: "msg_1", output_index: 0, content_index: 0, delta: words })}\n\n`,
  ],
  gemini: [
    "",
    `data: ${JSON.stringify({ candidates: [{ index: 0, content: { role: "model", parts: [{ text: words }] } }] })}\n\n`,
  ],
};
