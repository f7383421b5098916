import { isObject, type JsonObject } from "../model/dialect.ts";
import type { Fault, StreamEvent, StreamIn, WireEvent } from "../model/events.ts";
import { PartTracker } from "../model/part-tracker.ts";
import { cutFault, listOr, objectOr, parseData, textOr, upstreamFault } from "../model/parse-data.ts";
import { reasoningFromOpaque } from "../model/seal.ts";
import type { StopReason } from "../model/answer.ts";
import { chatFaultIn } from "./error-in.ts";
import { logprobsIn } from "./logprobs.ts";
import { chatStopIn } from "./stop.ts";
import { chatUsageIn } from "./usage.ts";

/** More answers than a request can ask for are not an answer to it. */
const candidatesMax = 128;

interface Candidate {
  readonly parts: PartTracker;
  /** Index and id of the call whose arguments are arriving. */
  callIndex: number;
  callId: string;
  finished: boolean;
}

/**
 * Chunks → model events. Calls must come one after the other: a piece for a call that another has followed is a fault,
 * because its block would be closed in the other dialects.
 */
export function chatStreamIn(): StreamIn {
  const candidates = new Map<number, Candidate>();
  let started = false;
  let over = false;

  const fail = (fault: Fault): StreamEvent[] => {
    over = true;
    return [{ type: "error", fault }];
  };
  const finish = (): StreamEvent[] => {
    const whole = candidates.size > 0 && [...candidates.values()].every(({ finished }) => finished);
    if (!whole) return fail(cutFault);
    over = true;
    return [{ type: "end" }];
  };
  const push = ({ data }: WireEvent): StreamEvent[] => {
    if (over) return [];
    if (data.trim() === "[DONE]") return finish();
    const chunk = parseData(data);
    if (chunk === undefined) return fail(upstreamFault("an event is not a JSON object"));
    if (chunk["error"] != null) return fail(chatFaultIn(chunk));
    const events: StreamEvent[] = [];
    if (!started) events.push({ type: "start", id: textOr(chunk["id"], ""), model: textOr(chunk["model"], "") });
    started = true;
    for (const choice of listOr(chunk["choices"])) {
      const problem = choiceIn(candidates, objectOr(choice), events);
      if (problem !== undefined) return [...events, ...fail(upstreamFault(problem))];
    }
    const usage = chatUsageIn(chunk["usage"]);
    if (usage !== undefined) events.push({ type: "usage", usage });
    return events;
  };
  return { push, end: () => (over ? [] : finish()) };
}

/** Appends the events of one choice; returns what is wrong with it. */
function choiceIn(candidates: Map<number, Candidate>, choice: JsonObject, events: StreamEvent[]): string | undefined {
  const index = typeof choice["index"] === "number" ? choice["index"] : 0;
  const known = candidates.get(index);
  if (known === undefined && candidates.size >= candidatesMax) return "there are too many choices";
  if (!Number.isInteger(index) || index < 0) return "a choice has no index";
  const candidate = known ?? { parts: new PartTracker(index), callIndex: -1, callId: "", finished: false };
  candidates.set(index, candidate);
  if (candidate.finished) return undefined;
  const problem = deltaIn(candidate, choice, events);
  if (problem !== undefined) return problem;
  if (choice["finish_reason"] == null) return undefined;
  const stop = chatStopIn(choice["finish_reason"]);
  if (stop === undefined) return "the finish reason is not known";
  candidate.finished = true;
  events.push(...candidate.parts.end(), { type: "finish", candidate: index, stop: finalStop(candidate.parts, stop) });
  return undefined;
}

function finalStop(parts: PartTracker, stop: StopReason): StopReason {
  if (stop !== "end") return stop;
  if (parts.hasRefusal) return "refusal";
  return parts.hasCalls ? "tool_calls" : "end";
}

function deltaIn(candidate: Candidate, choice: JsonObject, events: StreamEvent[]): string | undefined {
  const delta = objectOr(choice["delta"]);
  const { parts } = candidate;
  const details = listOr(delta["reasoning_details"]);
  if (details.length > 0) {
    for (const detail of details) events.push(...detailIn(parts, objectOr(detail)));
  } else {
    const reasoning = textOr(delta["reasoning_content"], textOr(delta["reasoning"], ""));
    events.push(...parts.text("reasoning", reasoning));
  }
  const logprobs = logprobsIn(objectOr(choice["logprobs"])["content"]);
  events.push(...parts.text("text", textOr(delta["content"], ""), logprobs));
  events.push(...parts.text("refusal", textOr(delta["refusal"], "")));
  for (const call of listOr(delta["tool_calls"])) {
    const problem = callIn(candidate, objectOr(call), events);
    if (problem !== undefined) return problem;
  }
  return undefined;
}

function detailIn(parts: PartTracker, detail: JsonObject): StreamEvent[] {
  const text = textOr(detail["text"], textOr(detail["summary"], ""));
  const opaque = textOr(detail["signature"], textOr(detail["data"], ""));
  const events = parts.text("reasoning", text);
  if (opaque === "") return events;
  const { seal = "", redacted } = reasoningFromOpaque("", opaque);
  return [...events, ...parts.seal(seal, redacted)];
}

/** Some servers number every call 0 and tell calls apart by id alone; some send ids only with the first piece. */
function callIn(candidate: Candidate, call: JsonObject, events: StreamEvent[]): string | undefined {
  const { parts } = candidate;
  const custom = call["type"] === "custom" || isObject(call["custom"]);
  const inner = objectOr(custom ? call["custom"] : call["function"]);
  const index = typeof call["index"] === "number" ? call["index"] : candidate.callIndex + 1;
  const id = textOr(call["id"], "");
  const continues = index === candidate.callIndex && (id === "" || id === candidate.callId);
  if (continues && parts.current?.type !== "tool_call") return "a tool call goes on after other content";
  if (!continues) {
    if (index < candidate.callIndex) return "the pieces of two tool calls are mixed";
    const name = textOr(inner["name"], "");
    if (id === "" || name === "") return "a tool call has no id or no name";
    candidate.callIndex = index;
    candidate.callId = id;
    events.push(...parts.start({ type: "tool_call", id, name, custom }));
  }
  const text = textOr(inner[custom ? "input" : "arguments"], "");
  if (text !== "") events.push(parts.delta(text));
  return undefined;
}
