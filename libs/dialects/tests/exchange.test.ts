import { AppError } from "@codex/kernel";
import { expect, test } from "@jest/globals";
import { readFileSync } from "node:fs";
import path from "node:path";
import { hints, readFault, writeError, type Exchange } from "../src/index.ts";
import { keptLengthMax } from "../src/responses/stream-out.ts";
import { answerOptions, exchange, streamFor } from "./_util.ts";

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);
const sse = (events: readonly object[]): Uint8Array =>
  bytes(events.map((event) => `data: ${JSON.stringify(event)}\n\n`).join(""));
const chunk = (delta: object, finish: string | null = null): object => ({
  id: "c",
  model: "m",
  choices: [{ index: 0, delta, finish_reason: finish }],
});

/** A codex-like request: a function and a custom tool in one namespace. */
function codexExchange(to: "chat" | "messages"): Exchange {
  const tools = [
    { type: "function", name: "run", parameters: { type: "object" } },
    { type: "custom", name: "patch" },
  ];
  const body = {
    model: "m",
    input: "x",
    stream: true,
    tools: [{ type: "namespace", name: "sh", description: "", tools }],
  };
  return exchange({ from: "responses", to, body, outputTokensMax: 100 });
}

test("given a tool that was renamed and wrapped, when the model calls it in a whole answer, then the client hears its own words", () => {
  const answer = codexExchange("messages").answer(
    {
      id: "msg_1",
      content: [
        { type: "tool_use", id: "t1", name: "sh__patch", input: { input: "*** Begin\n" } },
        { type: "tool_use", id: "t2", name: "sh__run", input: { a: 1 } },
        { type: "tool_use", id: "t3", name: "made_up", input: {} },
      ],
      stop_reason: "tool_use",
      usage: { input_tokens: 1, output_tokens: 2 },
    },
    answerOptions,
  );
  if (!answer.ok) throw new Error(answer.refusal.message);
  expect(answer.value.body["output"]).toMatchObject([
    { type: "custom_tool_call", call_id: "t1", name: "patch", namespace: "sh", input: "*** Begin\n" },
    { type: "function_call", call_id: "t2", name: "run", namespace: "sh", arguments: '{"a":1}' },
    { type: "function_call", call_id: "t3", name: "made_up", arguments: "{}" },
  ]);
  expect(answer.value.usage).toMatchObject({ input: 1, output: 2 });
});

test("given the same, when the model calls it in a stream, then the free text comes once it is whole", () => {
  const conversion = codexExchange("messages").streamed(answerOptions);
  const event = (type: string, more: object): object => ({ type, ...more });
  const written = conversion.push(
    sse([
      event("message_start", { message: { id: "msg_1", model: "m", usage: { input_tokens: 1, output_tokens: 1 } } }),
      event("content_block_start", {
        index: 0,
        content_block: { type: "tool_use", id: "t1", name: "sh__patch", input: {} },
      }),
      event("content_block_delta", { index: 0, delta: { type: "input_json_delta", partial_json: '{"input":"a\\n' } }),
      event("content_block_delta", { index: 0, delta: { type: "input_json_delta", partial_json: '\\u0442"}' } }),
      event("content_block_stop", { index: 0 }),
      event("message_delta", { delta: { stop_reason: "tool_use" }, usage: { output_tokens: 4 } }),
      event("message_stop", {}),
    ]),
  );
  const data = written.map((text) => JSON.parse(/^data: (.*)$/m.exec(text)?.[1] ?? "null") as Record<string, unknown>);
  expect(data.map(({ sequence_number }) => sequence_number)).toEqual(data.map((_event, index) => index));
  expect(data.slice(2, 6)).toMatchObject([
    {
      type: "response.output_item.added",
      item: { type: "custom_tool_call", name: "patch", namespace: "sh", input: "" },
    },
    { type: "response.custom_tool_call_input.delta", delta: "a\nт" },
    { type: "response.custom_tool_call_input.done", input: "a\nт" },
    { type: "response.output_item.done", item: { call_id: "t1", input: "a\nт", status: "completed" } },
  ]);
  expect(conversion.state()).toMatchObject({ over: true, usage: { input: 1, output: 4 }, fault: undefined });
});

test("given a provider that tells the prompt first, when the answer runs, then the count of the whole is not known yet", () => {
  const conversion = streamFor("chat", "messages");
  const usage = { input_tokens: 7, cache_read_input_tokens: 5, output_tokens: 1 };
  conversion.push(sse([{ type: "message_start", message: { id: "msg_1", model: "m", usage } }]));
  const prompt = { input: 7, cachedInput: 5, cacheWrite: 0, cacheWrite1h: 0, output: 0, reasoning: 0 };
  expect(conversion.state()).toEqual({ over: false, prompt, usage: undefined, fault: undefined });
});

test("given usage and a cost of ours, when the answer ends, then both stand in the last usage and nowhere else", () => {
  const conversion = streamFor("messages", "chat");
  expect(conversion.state().over).toBe(false);
  const { streamed } = exchange({
    from: "chat",
    to: "chat",
    body: {
      model: "m",
      messages: [{ role: "user", content: "x" }],
      stream: true,
      stream_options: { include_usage: true },
    },
  });
  const priced = streamed({ ...answerOptions, usageExtras: ({ output }) => ({ cost: String(output * 2) }) });
  const usage = { prompt_tokens: 3, completion_tokens: 4, total_tokens: 7 };
  const written = priced.push(
    sse([chunk({ content: "a" }), chunk({}, "stop"), { id: "c", model: "m", choices: [], usage }]),
  );
  expect(written.filter((text) => text.includes("cost"))).toHaveLength(1);
  expect(written.at(-1)).toContain('"cost":"8"');
});

test("given an answer that goes on for ever, when it is converted, then nothing is kept but for responses, which has a bound", () => {
  const piece = sse([chunk({ content: "x".repeat(100_000) })]);
  const count = Math.ceil(keptLengthMax / 100_000) + 2;
  const toMessages = streamFor("messages", "chat");
  const before = process.memoryUsage().heapUsed;
  for (let index = 0; index < count * 5; index += 1) toMessages.push(piece);
  expect(toMessages.state().fault).toBeUndefined();
  expect(process.memoryUsage().heapUsed - before).toBeLessThan(100_000_000);
  const toResponses = streamFor("responses", "chat");
  let last: string[] = [];
  for (let index = 0; index < count; index += 1) {
    const written = toResponses.push(piece);
    if (written.length > 0) last = written;
  }
  expect(last.join("")).toContain('"type":"response.failed"');
});

test.each([
  ["an event that is not JSON", "data: <html>\n\n"],
  ["an event that is too large", `data: ${"x".repeat(1_100_000)}`],
  ["the pieces of two calls mixed", ["0:a", "1:b", "0:"]],
])("given %s, when the client reads it, then it gets an error event and nothing after it", (_name, source) => {
  const call = (text: string): object => {
    const [index, id] = text.split(":");
    const first = id === "" ? {} : { id, type: "function" };
    return chunk({ tool_calls: [{ index: Number(index), ...first, function: { name: "f", arguments: "x" } }] });
  };
  const broken = typeof source === "string" ? bytes(source) : sse(source.map(call));
  const conversion = streamFor("messages", "chat");
  const written = [...conversion.push(sse([chunk({ content: "a" })])), ...conversion.push(broken)];
  expect(written.at(-1)).toMatch(/^event: error\n/);
  expect(conversion.state()).toMatchObject({ over: true, fault: { kind: "upstream" } });
  expect([...conversion.push(sse([chunk({}, "stop")])), ...conversion.end()]).toEqual([]);
});

test("given an end of ours, when the stream runs, then our sentence is the error event; once it is over, there is none", () => {
  const error = new AppError({ kind: "unauthenticated", code: "key_revoked", publicMessage: "The key was revoked." });
  const running = streamFor("responses", "chat");
  running.push(sse([chunk({ content: "a" })]));
  const written = running.fail(error).join("");
  expect(written).toContain('"code":"key_revoked"');
  expect(written).toContain("The key was revoked. — request req_1");
  expect(written).toContain('"type":"response.failed"');
  expect(running.fail(error)).toEqual([]);
});

test("given an error of ours, when it is written, then each dialect has its own body", () => {
  const error = new AppError({ kind: "quota", code: "insufficient_quota", publicMessage: "No money.", param: "model" });
  const message = "No money. — request req_1";
  const openAi = {
    error: {
      message,
      type: "insufficient_quota",
      param: "model",
      code: "insufficient_quota",
      metadata: { request_id: "req_1" },
    },
  };
  expect(writeError("chat", error, "req_1")).toEqual(openAi);
  expect(writeError("responses", error, "req_1")).toEqual(openAi);
  expect(writeError("messages", error, "req_1")).toEqual({
    type: "error",
    error: { type: "billing_error", message },
    request_id: "req_1",
  });
  expect(writeError("gemini", error, "req_1")).toEqual({
    error: { code: 402, message, status: "FAILED_PRECONDITION" },
  });
});

test.each([
  ["chat", { error: { message: "m", type: "requests", code: "rate_limit_exceeded" } }, "rate_limited"],
  ["chat", { error: { message: "m", code: 503 } }, "unavailable"],
  ["messages", { type: "error", error: { type: "overloaded_error", message: "m" } }, "unavailable"],
  ["messages", { type: "error", error: { type: "invalid_request_error", message: "m" } }, "invalid"],
  ["responses", { error: { message: "m", type: "server_error", code: null } }, "upstream"],
  ["gemini", { error: { code: 429, message: "m", status: "RESOURCE_EXHAUSTED" } }, "rate_limited"],
] as const)("given an error body of %s, when it is read, then its kind is known", (dialect, body, kind) => {
  expect(readFault(dialect, body)).toMatchObject({ kind });
  expect(readFault(dialect, { choices: [] })).toBeUndefined();
});

test("given the table of hints, when the README shows it, then the two are the same", () => {
  const readme = readFileSync(path.join(import.meta.dirname, "../README.md"), "utf8");
  const rows = readme
    .slice(readme.indexOf("| Hint "))
    .split("\n")
    .filter((line) => /^\| `[a-z_]+`\s+\|/.test(line));
  const shown = rows.map((row) =>
    row
      .split("|")
      .slice(1, 4)
      .map((cell) => cell.trim()),
  );
  expect(shown).toEqual(Object.entries(hints).map(([name, { fields, why }]) => [`\`${name}\``, fields, why]));
});
