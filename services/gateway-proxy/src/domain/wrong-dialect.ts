import { isObject, invalid, type Json } from "./fields.ts";

/**
 * A body that belongs to another API, told by fields that only that API has. Said before anything else of the body is
 * checked: the answer "unknown parameter: system" sends people the wrong way.
 */
type TextApi = "chat" | "messages" | "responses";

const urlOf = {
  chat: "POST /v1/chat/completions",
  messages: "POST /v1/messages",
  responses: "POST /v1/responses",
} as const satisfies Record<TextApi, string>;

const nameOf = {
  chat: "an OpenAI chat completion",
  messages: "an Anthropic message",
  responses: "an OpenAI response",
} as const satisfies Record<TextApi, string>;

/** Throws AppError `wrong_dialect`, which names the field that gave it away and the URL to use. */
export function refuseOtherDialect(body: unknown, here: TextApi): void {
  if (!isObject(body)) return;
  for (const api of ["messages", "chat", "responses"] as const) {
    if (api === here) continue;
    const sign = signOf[api](body);
    if (sign === undefined) continue;
    throw invalid(
      sign,
      `This looks like ${nameOf[api]} ('${sign}'), sent to ${urlOf[here]}. Send it to ${urlOf[api]}, ` +
        "or set the client to the matching API.",
      "wrong_dialect",
    );
  }
}

const signOf: Readonly<Record<TextApi, (body: Json) => string | undefined>> = {
  messages: (body) =>
    fieldOf(body, ["system", "stop_sequences", "anthropic_version"]) ??
    (someTool(body, "input_schema") ? "tools[].input_schema" : undefined) ??
    (hasAnthropicBlock(body) ? "messages[].content[]" : undefined),
  chat: (body) =>
    fieldOf(body, [
      "max_completion_tokens",
      "response_format",
      "frequency_penalty",
      "presence_penalty",
      "logit_bias",
    ]) ??
    (someTool(body, "function") ? "tools[].function" : undefined) ??
    (hasRole(body, ["tool", "developer", "function"]) ? "messages[].role" : undefined),
  responses: (body) =>
    body["messages"] === undefined ? fieldOf(body, ["input", "instructions", "max_output_tokens"]) : undefined,
};

function fieldOf(body: Json, names: readonly string[]): string | undefined {
  return names.find((name) => body[name] != null);
}

function someTool(body: Json, field: string): boolean {
  const { tools } = body;
  return Array.isArray(tools) && tools.some((tool) => isObject(tool) && tool[field] !== undefined);
}

const messagesOf = ({ messages }: Json): readonly unknown[] => (Array.isArray(messages) ? messages : []);

function hasRole(body: Json, roles: readonly string[]): boolean {
  return messagesOf(body).some(
    (one) => isObject(one) && typeof one["role"] === "string" && roles.includes(one["role"]),
  );
}

const anthropicBlocks: ReadonlySet<unknown> = new Set(["tool_use", "tool_result", "thinking", "redacted_thinking"]);

function hasAnthropicBlock(body: Json): boolean {
  return messagesOf(body).some((one) => {
    const content = isObject(one) ? one["content"] : undefined;
    if (!Array.isArray(content)) return false;
    return content.some(
      (block) => isObject(block) && (anthropicBlocks.has(block["type"]) || isObject(block["source"])),
    );
  });
}
