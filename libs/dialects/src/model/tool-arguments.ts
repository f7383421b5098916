import { isObject, type JsonObject } from "./dialect.ts";

/**
 * Arguments of a call: chat and responses carry the model's text, messages and gemini a parsed object. A text that is no
 * JSON object (a call that was cut at the bound of the answer) is kept under the key that Anthropic's documentation on
 * fine-grained tool streaming proposes, and found there again.
 */
const invalidJsonKey = "INVALID_JSON";

export function argumentsToObject(text: string): JsonObject {
  if (text.trim() === "") return {};
  try {
    const value: unknown = JSON.parse(text);
    if (isObject(value)) return value;
  } catch {
    // Kept below, as it is.
  }
  return { [invalidJsonKey]: text };
}

export function argumentsFromObject(value: JsonObject): string {
  const keys = Object.keys(value);
  const kept = keys.length === 1 && keys[0] === invalidJsonKey ? value[invalidJsonKey] : undefined;
  return typeof kept === "string" ? kept : JSON.stringify(value);
}

/** The one argument of a function that stands in for a custom tool. */
const customInput = "input";

export const customToolSchema: JsonObject = {
  type: "object",
  properties: { [customInput]: { type: "string", description: "The whole input of the tool, as free text." } },
  required: [customInput],
  additionalProperties: false,
};

export function wrapCustomInput(text: string): string {
  return JSON.stringify({ [customInput]: text });
}

/** What is not wrapped as it should be is handed on as it is: the tool sees what the model wrote. */
export function unwrapCustomInput(text: string): string {
  const value = argumentsToObject(text)[customInput];
  return typeof value === "string" ? value : text;
}
