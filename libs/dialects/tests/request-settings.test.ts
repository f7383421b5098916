import { expect, test } from "@jest/globals";
import { convertRequest } from "../src/index.ts";
import { chat, exchange, weather } from "./_util.ts";

// Each setting under its name in the other dialect; bounds; what is kept in another form and found again.

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
