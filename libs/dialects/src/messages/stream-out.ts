import type { JsonObject } from "../model/dialect.ts";
import type { OutputContext, PartOpening, StreamEvent, StreamOut, WireEvent } from "../model/events.ts";
import { noUsage, type Usage } from "../model/usage.ts";
import { eventLengthMax } from "../sse/reader.ts";
import { wireEvent } from "../sse/writer.ts";
import type { StopReason } from "../model/answer.ts";
import { upstreamFault } from "../model/parse-data.ts";
import { messagesStreamFaultOut } from "./error-out.ts";
import { stopFields } from "./stop.ts";
import { messagesUsageOut } from "./usage.ts";

interface State {
  part: PartOpening | undefined;
  /** Index of the open block, or of the last one. */
  block: number;
  refusal: string;
  stop: StopReason;
  stopSequence: string | undefined;
  usage: Usage | undefined;
}

/**
 * Model events → message events. `message_delta` waits for the end, because usage may follow the reason to stop; the words
 * of a refusal wait for it too, at most {@link eventLengthMax} characters.
 */
export function messagesStreamOut(output: OutputContext): StreamOut {
  const state: State = {
    part: undefined,
    block: -1,
    refusal: "",
    stop: "end",
    stopSequence: undefined,
    usage: undefined,
  };
  const push = (event: StreamEvent): WireEvent[] => {
    switch (event.type) {
      case "start":
        return [messageStart(output, event.id, event.usage ?? noUsage)];
      case "part_start":
        state.part = event.part;
        return partStart(state, event.part);
      case "delta":
        return deltaOut(state, event.text, output);
      case "seal":
        return sealOut(state, event.seal);
      case "part_end":
        return partEnd(state);
      case "finish":
        state.stop = event.stop;
        state.stopSequence = event.stopSequence;
        return [];
      case "usage":
        state.usage = event.usage;
        return [];
      case "end":
        return messageEnd(state, output);
      case "error":
        return [messagesStreamFaultOut(event.fault, output)];
    }
  };
  return { push };
}

function messageStart(output: OutputContext, id: string, usage: Usage): WireEvent {
  return wireEvent("message_start", {
    type: "message_start",
    message: {
      id: id === "" ? output.answerId : id,
      type: "message",
      role: "assistant",
      model: output.model,
      content: [],
      stop_reason: null,
      stop_sequence: null,
      usage: messagesUsageOut(usage),
    },
  });
}

function blockStart(state: State, block: JsonObject): WireEvent {
  state.block += 1;
  return wireEvent("content_block_start", { type: "content_block_start", index: state.block, content_block: block });
}

function blockDelta(state: State, delta: JsonObject): WireEvent {
  return wireEvent("content_block_delta", { type: "content_block_delta", index: state.block, delta });
}

function blockStop(state: State): WireEvent {
  return wireEvent("content_block_stop", { type: "content_block_stop", index: state.block });
}

function partStart(state: State, part: PartOpening): WireEvent[] {
  switch (part.type) {
    case "text":
      return [blockStart(state, { type: "text", text: "" })];
    case "refusal":
      return [];
    case "reasoning":
      return part.redacted ? [] : [blockStart(state, { type: "thinking", thinking: "", signature: "" })];
    case "tool_call": {
      const start = blockStart(state, { type: "tool_use", id: part.id, name: part.name, input: {} });
      return part.custom ? [start, jsonDelta(state, '{"input":"')] : [start];
    }
  }
}

function jsonDelta(state: State, text: string): WireEvent {
  return blockDelta(state, { type: "input_json_delta", partial_json: text });
}

function deltaOut(state: State, text: string, output: OutputContext): WireEvent[] {
  const { part } = state;
  switch (part?.type) {
    case undefined:
      return [];
    case "text":
      return text === "" ? [] : [blockDelta(state, { type: "text_delta", text })];
    case "reasoning":
      return [blockDelta(state, { type: "thinking_delta", thinking: text })];
    case "refusal":
      state.refusal += text;
      if (state.refusal.length <= eventLengthMax) return [];
      return [messagesStreamFaultOut(upstreamFault("a refusal is too long"), output)];
    case "tool_call":
      // A custom tool is a function with one argument here: its free text is a string in JSON, piece by piece.
      return [jsonDelta(state, part.custom ? JSON.stringify(text).slice(1, -1) : text)];
  }
}

function sealOut(state: State, seal: string): WireEvent[] {
  if (state.part?.type !== "reasoning") return [];
  if (state.part.redacted) return [blockStart(state, { type: "redacted_thinking", data: seal })];
  return [blockDelta(state, { type: "signature_delta", signature: seal })];
}

function partEnd(state: State): WireEvent[] {
  const { part } = state;
  state.part = undefined;
  if (part === undefined || part.type === "refusal") return [];
  const last = part.type === "tool_call" && part.custom ? [jsonDelta(state, '"}')] : [];
  return [...last, blockStop(state)];
}

function messageEnd(state: State, output: OutputContext): WireEvent[] {
  const { usage } = state;
  const counted = { ...messagesUsageOut(usage ?? noUsage), ...(usage && output.usageExtras?.(usage)) };
  return [
    wireEvent("message_delta", {
      type: "message_delta",
      delta: stopFields(state.stop, state.stopSequence, state.refusal),
      usage: counted,
    }),
    wireEvent("message_stop", { type: "message_stop" }),
  ];
}
