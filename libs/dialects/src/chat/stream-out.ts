import type { JsonObject } from "../model/dialect.ts";
import type { OutputContext, PartOpening, StreamEvent, StreamOut, WireEvent } from "../model/events.ts";
import type { Usage } from "../model/usage.ts";
import { wireEvent } from "../sse/writer.ts";
import { logprobsOut } from "./logprobs.ts";
import { detailsOut } from "./message-out.ts";
import { chatStopOut } from "./stop.ts";
import { chatUsageOut } from "./usage.ts";
import { chatStreamFaultOut } from "./error-out.ts";

interface CandidateState {
  part: PartOpening | undefined;
  calls: number;
  reasonings: number;
  refused: boolean;
  started: boolean;
}

/** Model events → chunks, then usage in a chunk without choices when the client asked for it, then `[DONE]`. */
export function chatStreamOut(output: OutputContext): StreamOut {
  const candidates = new Map<number, CandidateState>();
  let id = output.answerId;

  const envelope = (more: JsonObject): WireEvent =>
    wireEvent("", { id, object: "chat.completion.chunk", created: output.createdAt, model: output.model, ...more });
  const chunk = (index: number, delta: JsonObject, finish: string | null = null, more: JsonObject = {}): WireEvent =>
    envelope({
      choices: [{ index, delta, logprobs: null, finish_reason: finish, ...more }],
      // As OpenAI does, when usage is asked for.
      ...(output.streamUsage ? { usage: null } : {}),
    });
  const stateOf = (index: number): CandidateState => {
    const state = candidates.get(index) ?? { part: undefined, calls: 0, reasonings: 0, refused: false, started: false };
    candidates.set(index, state);
    return state;
  };
  const usageOut = (usage: Usage): WireEvent[] =>
    output.streamUsage
      ? [envelope({ choices: [], usage: { ...chatUsageOut(usage), ...output.usageExtras?.(usage) } })]
      : [];

  const push = (event: StreamEvent): WireEvent[] => {
    switch (event.type) {
      case "start":
        if (event.id !== "") id = event.id;
        return [];
      case "usage":
        return usageOut(event.usage);
      case "end":
        return [{ event: "", data: "[DONE]" }];
      case "error":
        return [chatStreamFaultOut(event.fault, output)];
      default: {
        const state = stateOf(event.candidate);
        const first = state.started ? [] : [chunk(event.candidate, { role: "assistant", content: "" })];
        state.started = true;
        const more = candidateOut(state, event, (delta, finish, extra) => chunk(event.candidate, delta, finish, extra));
        return [...first, ...more];
      }
    }
  };
  return { push };
}

type ChunkOf = (delta: JsonObject, finish?: string | null, more?: JsonObject) => WireEvent;
type CandidateEvent = Extract<StreamEvent, { readonly candidate: number }>;

function candidateOut(state: CandidateState, event: CandidateEvent, chunk: ChunkOf): WireEvent[] {
  switch (event.type) {
    case "part_start": {
      state.part = event.part;
      if (event.part.type === "refusal") state.refused = true;
      if (event.part.type === "reasoning") state.reasonings += 1;
      if (event.part.type !== "tool_call") return [];
      state.calls += 1;
      return [chunk({ tool_calls: [callStart(event.part, state.calls - 1)] })];
    }
    case "delta": {
      const logprobs = event.logprobs && { logprobs: { content: logprobsOut(event.logprobs), refusal: null } };
      return state.part === undefined ? [] : [chunk(deltaOut(state, state.part, event.text), null, logprobs)];
    }
    case "seal": {
      const redacted = state.part?.type === "reasoning" && state.part.redacted;
      const part = { type: "reasoning", text: "", seal: event.seal, redacted } as const;
      return [chunk({ reasoning_details: detailsOut(part, state.reasonings - 1) })];
    }
    case "part_end":
      state.part = undefined;
      return [];
    case "finish":
      return [chunk({}, chatStopOut(event.stop, state.refused))];
  }
}

function callStart(part: Extract<PartOpening, { readonly type: "tool_call" }>, index: number): JsonObject {
  const common = { index, id: part.id };
  return part.custom
    ? { ...common, type: "custom", custom: { name: part.name, input: "" } }
    : { ...common, type: "function", function: { name: part.name, arguments: "" } };
}

function deltaOut({ calls, reasonings }: CandidateState, part: PartOpening, text: string): JsonObject {
  switch (part.type) {
    case "text":
      return { content: text };
    case "refusal":
      return { refusal: text };
    case "reasoning":
      return {
        reasoning_content: text,
        reasoning_details: [{ type: "reasoning.text", text, index: reasonings - 1 }],
      };
    case "tool_call":
      return {
        tool_calls: [
          part.custom
            ? { index: calls - 1, type: "custom", custom: { input: text } }
            : { index: calls - 1, function: { arguments: text } },
        ],
      };
  }
}
