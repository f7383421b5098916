import { expect, test } from "@jest/globals";
import { convertRequest, hints } from "../src/index.ts";
import { exchange, weather } from "./_util.ts";

// Whole requests of Claude Code and codex, to each of the other dialects.

const claudeCode = {
  model: "claude-opus-5-5",
  max_tokens: 32_000,
  stream: true,
  system: [
    { type: "text", text: "You are Claude Code." },
    { type: "text", text: "Rules.", cache_control: { type: "ephemeral", ttl: "1h" } },
  ],
  thinking: { type: "adaptive", display: "summarized" },
  output_config: { effort: "high" },
  context_management: { edits: [{ type: "clear_thinking_20251015", keep: "all" }] },
  metadata: { user_id: '{"device_id":"x"}' },
  tools: [
    { name: "Read", description: "Reads a file", input_schema: weather, eager_input_streaming: true },
    { name: "mcp__x__later", description: "Deferred", input_schema: weather, defer_loading: true },
    { name: "Gone", input_schema: weather },
  ],
  messages: [
    { role: "user", content: [{ type: "text", text: "look", cache_control: { type: "ephemeral" } }] },
    {
      role: "assistant",
      content: [
        { type: "thinking", thinking: "hm", signature: "sig1" },
        { type: "redacted_thinking", data: "red1" },
        { type: "text", text: "I look." },
        { type: "tool_use", id: "toolu_1", name: "Read", input: { city: "a" } },
        { type: "tool_use", id: "toolu_2", name: "Read", input: {} },
      ],
    },
    {
      role: "user",
      content: [
        { type: "tool_result", tool_use_id: "toolu_2", is_error: true, content: "no such file" },
        {
          type: "tool_result",
          tool_use_id: "toolu_1",
          content: [
            { type: "text", text: "picture:" },
            { type: "image", source: { type: "base64", media_type: "image/png", data: "iVBO" } },
          ],
        },
        { type: "text", text: "go on" },
      ],
    },
    {
      role: "system",
      content: [
        { type: "text", text: "The user switched modes." },
        { type: "tool_removal", tool: { type: "tool_reference", name: "Gone" } },
      ],
    },
  ],
};

test("given a request of Claude Code, when its model is a chat provider's, then all of it is said there", () => {
  const { body, stream } = exchange({ from: "messages", to: "chat", body: claudeCode, upstreamModel: "gpt-5.1" });
  expect(stream).toBe(true);
  expect(body).toEqual({
    model: "gpt-5.1",
    stream: true,
    stream_options: { include_usage: true },
    max_completion_tokens: 32_000,
    reasoning_effort: "high",
    tools: [
      { type: "function", function: { name: "Read", description: "Reads a file", parameters: weather } },
      { type: "function", function: { name: "mcp__x__later", description: "Deferred", parameters: weather } },
    ],
    messages: [
      {
        role: "system",
        content: [
          { type: "text", text: "You are Claude Code." },
          { type: "text", text: "Rules.", cache_control: { type: "ephemeral", ttl: "1h" } },
        ],
      },
      { role: "user", content: [{ type: "text", text: "look", cache_control: { type: "ephemeral" } }] },
      {
        role: "assistant",
        content: "I look.",
        reasoning_details: [
          { type: "reasoning.text", text: "hm", signature: "sig1", index: 0 },
          { type: "reasoning.encrypted", data: "redacted_thinking:red1", index: 1 },
        ],
        tool_calls: [
          { id: "toolu_1", type: "function", function: { name: "Read", arguments: '{"city":"a"}' } },
          { id: "toolu_2", type: "function", function: { name: "Read", arguments: "{}" } },
        ],
      },
      { role: "tool", tool_call_id: "toolu_2", content: "Tool error:\nno such file" },
      { role: "tool", tool_call_id: "toolu_1", content: "picture:" },
      {
        role: "user",
        content: [
          { type: "text", text: "Attached to the result of toolu_1:" },
          { type: "image_url", image_url: { url: "data:image/png;base64,iVBO" } },
          { type: "text", text: "go on" },
        ],
      },
      { role: "system", content: "The user switched modes." },
    ],
  });
});

test("given the same, when the provider is OpenAI itself, then its extensions are left out and named", () => {
  const converted = convertRequest({ from: "messages", to: "chat", body: claudeCode, chatExtensions: false });
  if (!converted.ok) throw new Error(converted.refusal.message);
  expect(JSON.stringify(converted.value.body)).not.toMatch(/cache_control|reasoning_details|sig1/);
  expect([...converted.dropped].sort()).toEqual(
    ["cache_control", "context_editing", "reasoning_display", "reasoning_history", "service", "tool_loading"].sort(),
  );
  for (const name of converted.dropped) expect(hints[name].why).not.toBe("");
});

test("given a request of Claude Code, when its model is of responses, then all of it is said there, and nothing is stored", () => {
  const { body } = exchange({ from: "messages", to: "responses", body: claudeCode });
  expect(body).toEqual({
    model: "claude-opus-5-5",
    instructions: "You are Claude Code.\n\nRules.",
    store: false,
    stream: true,
    max_output_tokens: 32_000,
    reasoning: { effort: "high", summary: "auto" },
    include: ["reasoning.encrypted_content"],
    tools: [
      { type: "function", name: "Read", description: "Reads a file", parameters: weather, strict: false },
      { type: "function", name: "mcp__x__later", description: "Deferred", parameters: weather, strict: false },
    ],
    input: [
      { type: "message", role: "user", content: [{ type: "input_text", text: "look" }] },
      { type: "reasoning", summary: [{ type: "summary_text", text: "hm" }], encrypted_content: "sig1" },
      { type: "reasoning", summary: [], encrypted_content: "redacted_thinking:red1" },
      { type: "message", role: "assistant", content: [{ type: "output_text", text: "I look.", annotations: [] }] },
      { type: "function_call", call_id: "toolu_1", name: "Read", arguments: '{"city":"a"}' },
      { type: "function_call", call_id: "toolu_2", name: "Read", arguments: "{}" },
      { type: "function_call_output", call_id: "toolu_2", output: "Tool error:\nno such file" },
      {
        type: "function_call_output",
        call_id: "toolu_1",
        output: [
          { type: "input_text", text: "picture:" },
          { type: "input_image", image_url: "data:image/png;base64,iVBO", detail: "auto" },
        ],
      },
      { type: "message", role: "user", content: [{ type: "input_text", text: "go on" }] },
      { type: "message", role: "system", content: [{ type: "input_text", text: "The user switched modes." }] },
    ],
  });
});

test("given a request of Claude Code, when its model is of gemini, then all of it is said there", () => {
  const { body, model, stream } = exchange({ from: "messages", to: "gemini", body: claudeCode, upstreamModel: "g" });
  expect([model, stream]).toEqual(["g", true]);
  expect(body).toEqual({
    systemInstruction: {
      parts: [{ text: "You are Claude Code." }, { text: "Rules." }, { text: "The user switched modes." }],
    },
    contents: [
      { role: "user", parts: [{ text: "look" }] },
      {
        role: "model",
        parts: [
          { text: "hm", thought: true },
          { text: "", thoughtSignature: "sig1" },
          { text: "I look.", thoughtSignature: "redacted_thinking:red1" },
          {
            functionCall: { id: "toolu_1", name: "Read", args: { city: "a" } },
            thoughtSignature: "skip_thought_signature_validator",
          },
          { functionCall: { id: "toolu_2", name: "Read", args: {} } },
        ],
      },
      {
        role: "user",
        parts: [
          { functionResponse: { id: "toolu_2", name: "Read", response: { error: "no such file" } } },
          {
            functionResponse: {
              id: "toolu_1",
              name: "Read",
              response: { output: "picture:" },
              parts: [{ inlineData: { mimeType: "image/png", data: "iVBO" } }],
            },
          },
          { text: "go on" },
        ],
      },
    ],
    tools: [
      {
        functionDeclarations: [
          { name: "Read", description: "Reads a file", parametersJsonSchema: weather },
          { name: "mcp__x__later", description: "Deferred", parametersJsonSchema: weather },
        ],
      },
    ],
    generationConfig: { maxOutputTokens: 32_000, thinkingConfig: { thinkingLevel: "HIGH", includeThoughts: true } },
  });
});

const codex = {
  model: "gpt-6-sol",
  stream: true,
  store: false,
  include: ["reasoning.encrypted_content"],
  prompt_cache_key: "k",
  client_metadata: { a: "b" },
  parallel_tool_calls: false,
  tool_choice: "auto",
  reasoning: { effort: "medium", summary: "auto", context: "all_turns" },
  text: { verbosity: "low" },
  input: [
    {
      type: "additional_tools",
      role: "developer",
      tools: [
        {
          type: "namespace",
          name: "shell",
          description: "The shell",
          tools: [
            { type: "function", name: "run", description: "Runs", parameters: weather, strict: false },
            { type: "custom", name: "patch", description: "Patches" },
          ],
        },
      ],
    },
    { type: "message", role: "developer", content: [{ type: "input_text", text: "You are codex." }] },
    { type: "message", role: "user", content: [{ type: "input_text", text: "do it" }] },
    { type: "reasoning", summary: [], encrypted_content: "enc" },
    { type: "custom_tool_call", call_id: "call_1", name: "patch", namespace: "shell", input: "*** Begin\n" },
    { type: "custom_tool_call_output", call_id: "call_1", output: "Done" },
    { type: "function_call", call_id: "call_2", name: "run", namespace: "shell", arguments: '{"city":"b"}' },
    { type: "function_call_output", call_id: "call_2", output: [{ type: "input_text", text: "ok" }] },
  ],
};

test("given a request of codex, when its model is of messages, then namespaces are flat and custom tools take one argument", () => {
  const { body } = exchange({ from: "responses", to: "messages", body: codex, outputTokensMax: 1_000 });
  expect(body).toEqual({
    model: "gpt-6-sol",
    max_tokens: 1_000,
    stream: true,
    system: "You are codex.",
    thinking: { type: "adaptive", display: "summarized" },
    output_config: { effort: "medium" },
    tool_choice: { type: "auto", disable_parallel_tool_use: true },
    tools: [
      { name: "shell__run", description: "Runs", input_schema: weather, strict: false },
      {
        name: "shell__patch",
        description: "Patches",
        input_schema: expect.objectContaining({ required: ["input"] }) as unknown,
      },
    ],
    messages: [
      { role: "user", content: [{ type: "text", text: "do it" }] },
      {
        role: "assistant",
        content: [
          { type: "thinking", thinking: "", signature: "enc" },
          { type: "tool_use", id: "call_1", name: "shell__patch", input: { input: "*** Begin\n" } },
        ],
      },
      { role: "user", content: [{ type: "tool_result", tool_use_id: "call_1", content: "Done" }] },
      { role: "assistant", content: [{ type: "tool_use", id: "call_2", name: "shell__run", input: { city: "b" } }] },
      { role: "user", content: [{ type: "tool_result", tool_use_id: "call_2", content: "ok" }] },
    ],
  });
});

test("given names of tools that are too long or the same when flat, when they are converted, then they are cut with a digest, or refused", () => {
  const tool = (namespace: string, name: string): object => ({
    type: "namespace",
    name: namespace,
    description: "",
    tools: [{ type: "function", name, parameters: weather }],
  });
  const body = (...tools: object[]): object => ({ model: "m", input: "x", tools });
  const long = exchange({
    from: "responses",
    to: "chat",
    body: body(tool("a".repeat(60), "one"), tool("a".repeat(60), "two")),
  });
  const names = (long.body["tools"] as { function: { name: string } }[]).map((entry) => entry.function.name);
  expect(names.map((name) => name.length)).toEqual([64, 64]);
  expect(new Set(names).size).toBe(2);
  const same = convertRequest({ from: "responses", to: "chat", body: body(tool("a", "b__c"), tool("a__b", "c")) });
  expect(same).toMatchObject({ ok: false, refusal: { kind: "unsupported", path: "tools[1].tools[0]" } });
});
