import { expect, test } from "@jest/globals";
import { convertRequest, hints, type DialectName } from "../src/index.ts";
import { exchange } from "./_util.ts";

// What real clients send (recorded from Claude Code, codex and the AI SDK), converted to each other dialect.

const weather = { type: "object", properties: { city: { type: "string" } }, required: ["city"] };

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

test("given a chat request with everything, when its model is of gemini, then each setting has its name there", () => {
  const body = {
    model: "m",
    messages: [
      { role: "developer", content: "Be short." },
      {
        role: "user",
        content: [
          { type: "image_url", image_url: { url: "https://example.org/cat.webp" } },
          { type: "file", file: { filename: "a.pdf", file_data: "data:application/pdf;base64,JVBE" } },
          { type: "input_audio", input_audio: { data: "UklG", format: "wav" } },
        ],
      },
    ],
    max_completion_tokens: 50,
    temperature: 1.5,
    top_p: 0.9,
    top_k: 40,
    seed: 7,
    n: 2,
    stop: "END",
    frequency_penalty: 0.5,
    presence_penalty: 0,
    logprobs: true,
    top_logprobs: 3,
    reasoning_effort: "xhigh",
    response_format: { type: "json_schema", json_schema: { name: "n", strict: true, schema: weather } },
    tools: [
      { type: "function", function: { name: "a", parameters: weather } },
      { type: "function", function: { name: "b" } },
    ],
    tool_choice: { type: "function", function: { name: "a" } },
    user: "u",
  };
  const converted = convertRequest({ from: "chat", to: "gemini", body });
  if (!converted.ok) throw new Error(converted.refusal.message);
  expect(converted.value.body).toEqual({
    systemInstruction: { parts: [{ text: "Be short." }] },
    contents: [
      {
        role: "user",
        parts: [
          { fileData: { mimeType: "image/webp", fileUri: "https://example.org/cat.webp" } },
          { inlineData: { mimeType: "application/pdf", data: "JVBE" } },
          { inlineData: { mimeType: "audio/wav", data: "UklG" } },
        ],
      },
    ],
    tools: [
      {
        functionDeclarations: [
          { name: "a", parametersJsonSchema: weather },
          { name: "b", parametersJsonSchema: { type: "object", properties: {} } },
        ],
      },
    ],
    toolConfig: { functionCallingConfig: { mode: "ANY", allowedFunctionNames: ["a"] } },
    generationConfig: {
      temperature: 1.5,
      topP: 0.9,
      topK: 40,
      maxOutputTokens: 50,
      candidateCount: 2,
      seed: 7,
      frequencyPenalty: 0.5,
      responseLogprobs: true,
      logprobs: 3,
      stopSequences: ["END"],
      thinkingConfig: { thinkingLevel: "HIGH" },
      responseMimeType: "application/json",
      responseJsonSchema: weather,
    },
  });
  expect([...converted.dropped].sort()).toEqual([
    "description_of_format",
    "reasoning_effort",
    "service",
    "strict_tool",
    "title",
  ]);
});

test("given a gemini request in the spelling with underscores, when its model is of chat, then it is read the same", () => {
  const body = {
    system_instruction: { parts: [{ text: "S" }] },
    contents: [
      { role: "user", parts: [{ inline_data: { mime_type: "image/png", data: "iVBO" } }, { text: "hi" }] },
      { role: "model", parts: [{ functionCall: { name: "f", args: { snake_key: 1 } } }] },
      { role: "user", parts: [{ functionResponse: { name: "f", response: { temp_c: 21 } } }] },
    ],
    tools: [
      {
        function_declarations: [
          { name: "f", parameters: { type: "OBJECT", properties: { snake_key: { type: "INTEGER", nullable: true } } } },
        ],
      },
    ],
    tool_config: { function_calling_config: { mode: "ANY", allowed_function_names: ["f", "g"] } },
    generation_config: { max_output_tokens: 5, thinking_config: { thinking_budget: 2_000 } },
  };
  const { body: written } = exchange({ from: "gemini", to: "chat", body, url: { model: "m", stream: false } });
  expect(written).toMatchObject({
    model: "m",
    max_completion_tokens: 5,
    reasoning_effort: "low",
    tool_choice: {
      type: "allowed_tools",
      allowed_tools: { mode: "required", tools: [{ function: { name: "f" } }, { function: { name: "g" } }] },
    },
    tools: [{ function: { parameters: { type: "object", properties: { snake_key: { type: ["integer", "null"] } } } } }],
    messages: [
      { role: "system", content: "S" },
      { role: "user", content: [{ image_url: { url: "data:image/png;base64,iVBO" } }, { text: "hi" }] },
      { role: "assistant", tool_calls: [{ id: "call_0_0", function: { name: "f", arguments: '{"snake_key":1}' } }] },
      { role: "tool", tool_call_id: "call_0_0", content: '{"temp_c":21}' },
    ],
  });
});

const chat = (more: object, message: unknown = { role: "user", content: "x" }): object => ({
  model: "m",
  messages: [message],
  ...more,
});
const messages = (more: object, content: unknown = "x"): object => ({
  model: "m",
  max_tokens: 9,
  messages: [{ role: "user", content }],
  ...more,
});
const responses = (more: object): object => ({ model: "m", input: "x", ...more });
const gemini = (more: object, part: object = { text: "x" }): object => ({ contents: [{ parts: [part] }], ...more });

const refusals: readonly (readonly [DialectName, DialectName, object, string, ("invalid" | "unsupported")?])[] = [
  ["chat", "messages", chat({ seed: 1 }), "seed"],
  ["chat", "messages", chat({ n: 2 }), "n"],
  ["chat", "messages", chat({ logprobs: true }), "logprobs"],
  ["chat", "messages", chat({ frequency_penalty: 1 }), "frequency_penalty"],
  ["chat", "messages", chat({ temperature: 1.2 }), "temperature"],
  ["chat", "messages", chat({ response_format: { type: "json_object" } }), "response_format"],
  ["chat", "messages", chat({ logit_bias: { "1": 1 } }), "logit_bias"],
  ["chat", "messages", chat({ functions: [] }), "functions"],
  ["chat", "messages", chat({ web_search_options: {} }), "web_search_options"],
  ["chat", "messages", chat({ modalities: ["text", "audio"] }), "modalities[1]"],
  ["chat", "messages", chat({ unheard_of: 1 }), "unheard_of", "invalid"],
  ["chat", "messages", chat({ temperature: "hot" }), "temperature", "invalid"],
  ["chat", "messages", chat({}, { role: "user", name: "ann", content: "x" }), "messages[0].name"],
  [
    "chat",
    "messages",
    chat({}, { role: "user", content: [{ type: "file", file: { file_id: "file-1" } }] }),
    "messages[0].content[0].file.file_id",
  ],
  [
    "chat",
    "messages",
    chat({}, { role: "user", content: [{ type: "input_audio", input_audio: { data: "x", format: "wav" } }] }),
    "messages[0].content[0]",
  ],
  [
    "chat",
    "messages",
    chat({}, { role: "user", content: [{ type: "image_url", image_url: { url: "file:///etc/passwd" } }] }),
    "messages[0].content[0].image_url.url",
    "invalid",
  ],
  [
    "chat",
    "messages",
    chat({}, { role: "user", content: [{ type: "video" }] }),
    "messages[0].content[0].type",
    "invalid",
  ],
  [
    "chat",
    "messages",
    chat({ tools: [{ type: "custom", custom: { name: "a", format: { type: "grammar", grammar: {} } } }] }),
    "tools[0].custom.format",
  ],
  ["chat", "responses", chat({ stop: ["a"] }), "stop"],
  ["chat", "responses", chat({ top_k: 4 }), "top_k"],
  ["chat", "gemini", chat({ parallel_tool_calls: false }), "parallel_tool_calls"],
  [
    "chat",
    "gemini",
    chat({}, { role: "user", content: [{ type: "image_url", image_url: { url: "https://x.org/a" } }] }),
    "messages[0].content[0]",
  ],
  ["chat", "gemini", chat({}, { role: "tool", tool_call_id: "lost", content: "x" }), "messages[0]"],
  ["messages", "chat", messages({ container: "c" }), "container"],
  ["messages", "chat", messages({ mcp_servers: [{}] }), "mcp_servers"],
  [
    "messages",
    "chat",
    messages({ context_management: { edits: [{ type: "compact_20260112" }] } }),
    "context_management.edits[0]",
  ],
  ["messages", "chat", messages({ tools: [{ type: "web_search_20250305", name: "web_search" }] }), "tools[0]"],
  ["messages", "chat", messages({ thinking: { type: "between_tools" } }), "thinking"],
  [
    "messages",
    "chat",
    messages({}, [{ type: "image", source: { type: "file", file_id: "f" } }]),
    "messages[0].content[0].source",
  ],
  [
    "messages",
    "chat",
    messages({}, [{ type: "document", source: { type: "url", url: "https://x.org/a.pdf" } }]),
    "messages[0].content[0]",
  ],
  [
    "messages",
    "chat",
    messages({}, [{ type: "document", source: { type: "text", data: "x" }, citations: { enabled: true } }]),
    "messages[0].content[0].citations",
  ],
  ["messages", "chat", messages({}, [{ type: "search_result" }]), "messages[0].content[0]"],
  ["messages", "responses", messages({ stop_sequences: ["a"] }), "stop_sequences"],
  ["responses", "chat", responses({ previous_response_id: "resp_1" }), "previous_response_id"],
  ["responses", "chat", responses({ conversation: "conv_1" }), "conversation"],
  ["responses", "chat", responses({ background: true }), "background"],
  ["responses", "chat", responses({ prompt: { id: "p" } }), "prompt"],
  ["responses", "chat", responses({ truncation: "auto" }), "truncation"],
  ["responses", "chat", responses({ context_management: [{ type: "compaction" }] }), "context_management"],
  ["responses", "chat", responses({ tools: [{ type: "web_search" }] }), "tools[0]"],
  ["responses", "chat", responses({ input: [{ type: "item_reference", id: "x" }] }), "input[0]"],
  ["responses", "chat", responses({ input: [{ type: "compaction_trigger" }] }), "input[0]"],
  ["responses", "chat", responses({ input: [{ type: "web_search_call", id: "x" }] }), "input[0]"],
  ["gemini", "chat", gemini({ cachedContent: "c" }), "cachedContent"],
  ["gemini", "chat", gemini({ tools: [{ googleSearch: {} }] }), "tools[0].googleSearch"],
  [
    "gemini",
    "chat",
    gemini({ generationConfig: { responseModalities: ["IMAGE"] } }),
    "generationConfig.responseModalities[0]",
  ],
  [
    "gemini",
    "chat",
    gemini({}, { fileData: { mimeType: "image/png", fileUri: "gs://b/a.png" } }),
    "contents[0].parts[0].fileData.fileUri",
  ],
  ["gemini", "chat", gemini({}, { inlineData: { mimeType: "video/mp4", data: "AAAA" } }), "contents[0].parts[0]"],
  ["gemini", "chat", gemini({}, { executableCode: {} }), "contents[0].parts[0].executableCode"],
  ["gemini", "messages", gemini({ generationConfig: { candidateCount: 2 } }), "generationConfig.candidateCount"],
];

test.each(refusals)(
  "given %s for %s with %j, when it is converted, then '%s' is refused by name",
  (from, to, body, path, kind = "unsupported") => {
    const converted = convertRequest({ from, to, body, url: { model: "m", stream: false }, outputTokensMax: 100 });
    expect(converted).toMatchObject({ ok: false, refusal: { kind, path } });
    if (!converted.ok) expect(converted.refusal.message).toContain(`'${path}'`);
  },
);

test("given the pieces of streamed reasoning, when a client sends them back, then those of one index are one part", () => {
  const piece = (index: number, text: string, more: object = {}) => ({ type: "reasoning.text", text, index, ...more });
  const reasoning_details = [
    piece(0, "Think"),
    piece(0, " more", { format: null }),
    piece(0, "", { signature: "s1" }),
    { type: "reasoning.encrypted", data: "redacted_thinking:r", index: 1 },
    piece(2, "Again", { signature: "s2" }),
  ];
  const messages = [
    { role: "user", content: "x" },
    { role: "assistant", content: "42", reasoning_details },
    { role: "user", content: "y" },
  ];
  const there = exchange({ from: "chat", to: "messages", body: { model: "m", max_tokens: 9, messages } });
  const [, turn] = there.body["messages"] as readonly { readonly content: unknown }[];
  expect(turn?.content).toEqual([
    { type: "thinking", thinking: "Think more", signature: "s1" },
    { type: "redacted_thinking", data: "r" },
    { type: "thinking", thinking: "Again", signature: "s2" },
    { type: "text", text: "42" },
  ]);
});

test("given a bound below sixteen tokens, when responses are asked, then it is refused by name, as OpenAI would", () => {
  const converted = convertRequest({ from: "chat", to: "responses", body: chat({ max_tokens: 15 }) });
  expect(converted).toMatchObject({ ok: false, refusal: { kind: "unsupported", path: "max_tokens" } });
  expect(convertRequest({ from: "chat", to: "responses", body: chat({ max_tokens: 16 }) }).ok).toBe(true);
});

test("given no bound of the answer, when the provider needs one, then it is asked for; and a bound of ours lowers the client's", () => {
  expect(convertRequest({ from: "chat", to: "messages", body: chat({}) })).toMatchObject({
    ok: false,
    refusal: { kind: "invalid", path: "max_tokens" },
  });
  const lowered = exchange({ from: "chat", to: "messages", body: chat({ max_tokens: 500 }), outputTokensMax: 100 });
  expect(lowered.body["max_tokens"]).toBe(100);
  const kept = exchange({ from: "chat", to: "messages", body: chat({ max_tokens: 50 }), outputTokensMax: 100 });
  expect(kept.body["max_tokens"]).toBe(50);
});

test("given a call whose arguments were cut, when it is written as an object, then its text is kept and found again", () => {
  const cut = { id: "c", type: "function", function: { name: "f", arguments: '{"a":' } };
  const body = {
    model: "m",
    max_tokens: 9,
    messages: [
      { role: "user", content: "x" },
      { role: "assistant", tool_calls: [cut] },
    ],
  };
  const there = exchange({ from: "chat", to: "messages", body });
  expect(there.body).toMatchObject({
    messages: [{}, { content: [{ type: "tool_use", input: { INVALID_JSON: '{"a":' } }] }],
  });
  expect(exchange({ from: "messages", to: "chat", body: there.body }).body).toMatchObject({
    messages: [{}, { tool_calls: [cut] }],
  });
});
