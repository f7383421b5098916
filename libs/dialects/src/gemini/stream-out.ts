import type { JsonObject } from "../model/dialect.ts";
import type { OutputContext, PartOpening, StreamEvent, StreamOut, WireEvent } from "../model/events.ts";
import { upstreamFault } from "../model/parse-data.ts";
import { sealToOpaque } from "../model/seal.ts";
import { argumentsToObject, wrapCustomInput } from "../model/tool-arguments.ts";
import type { Usage } from "../model/usage.ts";
import { eventLengthMax } from "../sse/reader.ts";
import { wireEvent } from "../sse/writer.ts";
import { geminiStreamFaultOut } from "./error-out.ts";
import { geminiLogprobsOut } from "./logprobs.ts";
import { geminiStopOut } from "./stop.ts";
import { geminiUsageOut } from "./usage.ts";

interface CandidateState {
  part: PartOpening | undefined;
  /** Arguments of the open call, which Gemini sends whole; at most {@link eventLengthMax}. */
  argumentsText: string;
  refusal: string;
  finish: string | undefined;
}

/** Model events → chunks. The last chunk has the reasons to stop and the usage. */
export function geminiStreamOut(output: OutputContext): StreamOut {
  const candidates = new Map<number, CandidateState>();
  let id = output.answerId;
  let usage: Usage | undefined;
  let failed = false;

  const chunk = (entries: readonly JsonObject[], more: JsonObject = {}): WireEvent =>
    wireEvent("", { candidates: entries, ...more, modelVersion: output.model, responseId: id });
  const stateOf = (index: number): CandidateState => {
    const state = candidates.get(index) ?? { part: undefined, argumentsText: "", refusal: "", finish: undefined };
    candidates.set(index, state);
    return state;
  };
  const end = (): WireEvent => {
    const entries = [...candidates].map(([index, { finish, refusal }]) => ({
      content: { role: "model", parts: [] },
      finishReason: finish ?? "STOP",
      ...(refusal === "" ? {} : { finishMessage: refusal }),
      index,
    }));
    const counted = usage && { usageMetadata: { ...geminiUsageOut(usage), ...output.usageExtras?.(usage) } };
    return chunk(entries, counted);
  };
  const push = (event: StreamEvent): WireEvent[] => {
    if (failed) return [];
    switch (event.type) {
      case "start":
        if (event.id !== "") id = event.id;
        return [];
      case "usage":
        usage = event.usage;
        return [];
      case "end":
        return [end()];
      case "error":
        failed = true;
        return [geminiStreamFaultOut(event.fault, output)];
      default: {
        const state = stateOf(event.candidate);
        const entry = candidateOut(state, event);
        if (Math.max(state.argumentsText.length, state.refusal.length) > eventLengthMax) {
          failed = true;
          return [geminiStreamFaultOut(upstreamFault("a call or a refusal is too long"), output)];
        }
        return entry === undefined ? [] : [chunk([{ ...entry, index: event.candidate }])];
      }
    }
  };
  return { push };
}

type CandidateEvent = Extract<StreamEvent, { readonly candidate: number }>;

function candidateOut(state: CandidateState, event: CandidateEvent): JsonObject | undefined {
  switch (event.type) {
    case "part_start":
      state.part = event.part;
      state.argumentsText = "";
      return undefined;
    case "delta":
      return deltaOut(state, event);
    case "seal": {
      const redacted = state.part?.type === "reasoning" && state.part.redacted;
      return content({ text: "", thought: true, thoughtSignature: sealToOpaque({ seal: event.seal, redacted }) });
    }
    case "part_end": {
      const { part } = state;
      state.part = undefined;
      return part?.type === "tool_call" ? content(callOut(part, state.argumentsText)) : undefined;
    }
    case "finish":
      state.finish = geminiStopOut(event.stop);
      return undefined;
  }
}

function content(part: JsonObject): JsonObject {
  return { content: { role: "model", parts: [part] } };
}

function deltaOut(
  state: CandidateState,
  { text, logprobs }: Extract<StreamEvent, { readonly type: "delta" }>,
): JsonObject | undefined {
  switch (state.part?.type) {
    case undefined:
      return undefined;
    case "text":
      return { ...content({ text }), ...(logprobs && { logprobsResult: geminiLogprobsOut(logprobs) }) };
    case "reasoning":
      return content({ text, thought: true });
    case "refusal":
      state.refusal += text;
      return undefined;
    case "tool_call":
      state.argumentsText += text;
      return undefined;
  }
}

function callOut(part: Extract<PartOpening, { readonly type: "tool_call" }>, text: string): JsonObject {
  const args = argumentsToObject(part.custom ? wrapCustomInput(text) : text);
  return { functionCall: { id: part.id, name: part.name, args } };
}
