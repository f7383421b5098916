import { expect, test } from "@jest/globals";
import { convertRequest, type DialectName } from "../src/index.ts";
import { chat, gemini, messages, responses } from "./_util.ts";

// What the other dialect cannot say is refused, by the name of its place.

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
