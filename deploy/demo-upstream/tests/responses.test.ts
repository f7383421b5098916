import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import type OpenAI from "openai";
import type { RunningDemoUpstream } from "../src/server.ts";
import { toolCallTokens } from "../src/usage.ts";
import { eventsOf, openai, post, startFast } from "./_util.ts";

let demo: RunningDemoUpstream;
let client: OpenAI;
beforeAll(async () => {
  demo = await startFast();
  client = openai(demo.url);
});
afterAll(() => demo.close());

const parameters = { type: "object", properties: { cmd: { type: "string" } }, required: ["cmd"] };
const run = { type: "function" as const, name: "run", parameters, strict: false };
const exec = { type: "custom" as const, name: "exec" };

describe("tools of the prompt's script", () => {
  test("given a line !call, then the tool is called with exactly that, once its result is there the answer quotes it", async () => {
    const input = [{ role: "user" as const, content: 'Please\n!call run {"cmd":"echo 1 > a"}\nand tell me' }];
    const ask = { model: "demo-tools", input, tools: [run] };
    const called = await client.responses.create(ask);
    const [call] = called.output;
    if (call?.type !== "function_call") throw new Error("no function call");
    expect(call).toMatchObject({ name: "run", arguments: '{"cmd":"echo 1 > a"}' });
    expect(called.usage?.output_tokens).toBe(toolCallTokens({ name: "run", argumentsJson: call.arguments }));
    const output = { type: "function_call_output" as const, call_id: call.call_id, output: "written" };
    const answer = await client.responses.create({ ...ask, input: [...input, call, output] });
    expect(answer.output_text).toContain("written");
  });

  test("given several lines, then all are called at once, and those that name no tool are text", async () => {
    const input = "!call run {}\n!call walk {}\n  !call exec let a = 1;";
    const called = await client.responses.create({ model: "demo-tools", input, tools: [run, exec] });
    expect(called.output).toMatchObject([
      { type: "function_call", name: "run", arguments: "{}" },
      { type: "custom_tool_call", name: "exec", input: "let a = 1;" },
    ]);
  });

  test("given a custom tool in a namespace of an input item, as Codex sends it, then the streamed call carries both", async () => {
    const tools = [{ type: "namespace", name: "functions", description: "", tools: [exec] }];
    const answer = await post(demo.url, "/v1/responses", {
      model: "demo-tools",
      stream: true,
      input: [
        { type: "additional_tools", role: "developer", tools },
        { type: "message", role: "user", content: [{ type: "input_text", text: "!call exec text(await f());" }] },
      ],
    });
    const events = eventsOf(await answer.text());
    const deltas = events.filter(({ type }) => type === "response.custom_tool_call_input.delta");
    expect(deltas.map(({ delta }) => delta).join("")).toBe("text(await f());");
    expect(events.find(({ type }) => type === "response.output_item.done")).toMatchObject({
      item: { type: "custom_tool_call", name: "exec", namespace: "functions", input: "text(await f());" },
    });
  });
});

test("given a reference to a stored item, then 404, because nothing is stored", async () => {
  const input = [{ type: "item_reference" as const, id: "msg_1" }];
  await expect(client.responses.create({ model: "demo-small", input })).rejects.toMatchObject({ status: 404 });
});
