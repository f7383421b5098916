import type { Choice } from "../generate.ts";
import { eventFrame, type Frame } from "../http/sse.ts";
import { fragments, pieces } from "../text/pieces.ts";
import { textTokens } from "../usage.ts";
import { finishedResponse, outputItems } from "./responses-reply.ts";

/** The events of a streamed response, in the order OpenAI sends them. */

type Json = Readonly<Record<string, unknown>>;

interface Draft {
  readonly type: string;
  readonly fields: Json;
  readonly text?: string;
}

export function* responsesFrames(base: Json, choice: Choice, usage: Json | undefined): Generator<Frame> {
  let sequence = 0;
  const frame = ({ type, fields, text = "" }: Draft, facts: Omit<Frame, "wire"> = {}): Frame => {
    const event = { type, sequence_number: sequence, ...fields };
    sequence += 1;
    return eventFrame(event, { outputBytes: Buffer.byteLength(text), tokens: textTokens(text), ...facts });
  };
  yield frame({ type: "response.created", fields: { response: base } });
  yield frame({ type: "response.in_progress", fields: { response: base } });
  const output = outputItems(choice);
  for (const [index, item] of output.entries()) for (const draft of draftsOf(item, index)) yield frame(draft);
  const response = finishedResponse(base, choice, output, usage);
  yield frame({ type: `response.${String(response["status"])}`, fields: { response } }, { usage, terminator: true });
}

function* draftsOf(item: Json, index: number): Generator<Draft> {
  const at = { item_id: item["id"], output_index: index };
  const opened = { ...item, status: "in_progress" };
  const isDone = { type: "response.output_item.done", fields: { output_index: index, item } };
  const added = (empty: Json): Draft => ({
    type: "response.output_item.added",
    fields: { output_index: index, item: { ...opened, ...empty } },
  });
  if (item["type"] === "function_call") {
    const whole = String(item["arguments"]);
    yield added({ arguments: "" });
    for (const delta of fragments(whole)) {
      yield { type: "response.function_call_arguments.delta", fields: { ...at, delta }, text: delta };
    }
    yield { type: "response.function_call_arguments.done", fields: { ...at, arguments: whole, name: item["name"] } };
  } else if (item["type"] === "custom_tool_call") {
    const whole = String(item["input"]);
    yield added({ input: "" });
    for (const delta of fragments(whole)) {
      yield { type: "response.custom_tool_call_input.delta", fields: { ...at, delta }, text: delta };
    }
    yield { type: "response.custom_tool_call_input.done", fields: { ...at, input: whole } };
  } else if (item["type"] === "reasoning") {
    yield added({ summary: [] });
    yield* summaryDrafts(at, (item["summary"] as readonly Json[])[0] ?? {});
  } else {
    yield added({ content: [] });
    yield* textDrafts(at, (item["content"] as readonly Json[])[0] ?? {});
  }
  yield isDone;
}

function* summaryDrafts(at: Json, part: Json): Generator<Draft> {
  const text = String(part["text"]);
  const spot = { ...at, summary_index: 0 };
  yield { type: "response.reasoning_summary_part.added", fields: { ...spot, part: { ...part, text: "" } } };
  for (const delta of pieces(text)) {
    yield { type: "response.reasoning_summary_text.delta", fields: { ...spot, delta }, text: delta };
  }
  yield { type: "response.reasoning_summary_text.done", fields: { ...spot, text } };
  yield { type: "response.reasoning_summary_part.done", fields: { ...spot, part } };
}

function* textDrafts(at: Json, part: Json): Generator<Draft> {
  const spot = { ...at, content_index: 0 };
  const kind = part["type"] === "refusal" ? "refusal" : "output_text";
  const field = kind === "refusal" ? "refusal" : "text";
  const text = String(part[field]);
  yield { type: "response.content_part.added", fields: { ...spot, part: { ...part, [field]: "" } } };
  for (const delta of pieces(text)) yield { type: `response.${kind}.delta`, fields: { ...spot, delta }, text: delta };
  yield { type: `response.${kind}.done`, fields: { ...spot, [field]: text } };
  yield { type: "response.content_part.done", fields: { ...spot, part } };
}
