import type { JsonObject } from "../model/dialect.ts";
import type { Fault, StreamEvent, StreamIn, WireEvent } from "../model/events.ts";
import { PartTracker } from "../model/part-tracker.ts";
import { cutFault, listOr, objectOr, parseData, textOr, upstreamFault } from "../model/parse-data.ts";
import { reasoningFromOpaque } from "../model/seal.ts";
import type { StopReason } from "../model/answer.ts";
import { argumentsFromObject } from "../model/tool-arguments.ts";
import type { Usage } from "../model/usage.ts";
import { geminiFaultIn } from "./error-in.ts";
import { geminiLogprobsIn } from "./logprobs.ts";
import { geminiStopIn } from "./stop.ts";
import { geminiUsageIn } from "./usage.ts";

const candidatesMax = 128;

interface Candidate {
  readonly parts: PartTracker;
  finished: boolean;
}

/** Chunks → model events. The dialect has no last event: the answer ends with the connection, once every candidate has. */
export function geminiStreamIn(answerId: string): StreamIn {
  const candidates = new Map<number, Candidate>();
  let id = "";
  let started = false;
  let over = false;
  let blocked = false;
  let calls = 0;
  let usage: Usage | undefined;

  const callId = (given: unknown): string => {
    const made = `call_${id === "" ? answerId : id}_${String(calls)}`;
    calls += 1;
    return typeof given === "string" && given !== "" ? given : made;
  };
  const counted = (): StreamEvent[] => (usage === undefined ? [] : [{ type: "usage", usage }]);
  const fail = (fault: Fault): StreamEvent[] => {
    over = true;
    // Each chunk counts what came before it, so that a cut answer has a count too.
    return [...counted(), { type: "error", fault }];
  };
  const push = ({ data }: WireEvent): StreamEvent[] => {
    if (over) return [];
    const chunk = parseData(data);
    if (chunk === undefined) return fail(upstreamFault("an event is not a JSON object"));
    if (chunk["error"] != null) return fail(geminiFaultIn(chunk));
    const events: StreamEvent[] = [];
    if (!started) {
      id = textOr(chunk["responseId"], "");
      events.push({ type: "start", id, model: textOr(chunk["modelVersion"], "") });
      started = true;
    }
    usage = geminiUsageIn(chunk["usageMetadata"]) ?? usage;
    blocked ||= objectOr(chunk["promptFeedback"])["blockReason"] !== undefined;
    for (const entry of listOr(chunk["candidates"])) {
      const problem = candidateIn(candidates, objectOr(entry), callId, events);
      if (problem !== undefined) return [...events, ...fail(upstreamFault(problem))];
    }
    return events;
  };
  const end = (): StreamEvent[] => {
    if (over) return [];
    const refused = candidates.size === 0 && blocked;
    const whole = candidates.size > 0 && [...candidates.values()].every(({ finished }) => finished);
    if (!whole && !refused) return fail(cutFault);
    over = true;
    return [
      ...(refused ? [{ type: "finish", candidate: 0, stop: "content_filter" } as const] : []),
      ...counted(),
      { type: "end" },
    ];
  };
  return { push, end };
}

type CallId = (given: unknown) => string;

function candidateIn(
  candidates: Map<number, Candidate>,
  entry: JsonObject,
  callId: CallId,
  events: StreamEvent[],
): string | undefined {
  const index = typeof entry["index"] === "number" ? entry["index"] : 0;
  if (!Number.isInteger(index) || index < 0) return "a candidate has no index";
  if (!candidates.has(index) && candidates.size >= candidatesMax) return "there are too many candidates";
  const candidate = candidates.get(index) ?? { parts: new PartTracker(index), finished: false };
  candidates.set(index, candidate);
  if (candidate.finished) return undefined;
  const { parts } = candidate;
  const logprobs = geminiLogprobsIn(entry["logprobsResult"]);
  for (const [place, part] of listOr(objectOr(entry["content"])["parts"]).entries()) {
    const read = partIn(parts, objectOr(part), callId, place === 0 ? logprobs : undefined);
    if (typeof read === "string") return read;
    events.push(...read);
  }
  if (entry["finishReason"] == null) return undefined;
  const stop = geminiStopIn(entry["finishReason"]);
  if (stop === undefined) return `the model failed: ${textOr(entry["finishReason"], "").slice(0, 64)}`;
  candidate.finished = true;
  if (stop === "content_filter") events.push(...parts.text("refusal", textOr(entry["finishMessage"], "")));
  events.push(...parts.end(), { type: "finish", candidate: index, stop: finalStop(parts, stop) });
  return undefined;
}

function finalStop(parts: PartTracker, stop: StopReason): StopReason {
  return stop === "end" && parts.hasCalls ? "tool_calls" : stop;
}

function partIn(
  parts: PartTracker,
  part: JsonObject,
  callId: CallId,
  logprobs: ReturnType<typeof geminiLogprobsIn>,
): StreamEvent[] | string {
  const text = textOr(part["text"], "");
  const signature = textOr(part["thoughtSignature"], "");
  const { seal = "", redacted } = reasoningFromOpaque("", signature);
  const sealed = (): StreamEvent[] => (seal === "" ? [] : parts.seal(seal, redacted));
  if (part["thought"] === true) {
    const said = parts.text("reasoning", text);
    return [...said, ...sealed()];
  }
  const before = sealed();
  if (part["functionCall"] !== undefined) {
    const call = objectOr(part["functionCall"]);
    const name = textOr(call["name"], "");
    if (name === "" || call["willContinue"] === true) return "a call is not whole";
    const id = callId(call["id"]);
    const started = parts.start({ type: "tool_call", id, name, custom: false });
    const args = parts.delta(argumentsFromObject(objectOr(call["args"])));
    return [...before, ...started, args, ...parts.end()];
  }
  if (part["text"] === undefined && signature === "") return "a part is of an unknown type";
  return [...before, ...parts.text("text", text, text === "" ? undefined : logprobs)];
}
