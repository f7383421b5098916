import { logprobsIn } from "../chat/logprobs.ts";
import type { JsonObject } from "../model/dialect.ts";
import type { Fault, StreamEvent, StreamIn, WireEvent } from "../model/events.ts";
import { PartTracker } from "../model/part-tracker.ts";
import { cutFault, listOr, objectOr, parseData, textOr, upstreamFault } from "../model/parse-data.ts";
import { reasoningFromOpaque } from "../model/seal.ts";
import type { StopReason } from "../model/answer.ts";
import { responsesFaultIn } from "./error-in.ts";
import { summarySeparator } from "./item-in.ts";
import { responsesStopIn } from "./response.ts";
import { responsesUsageIn } from "./usage.ts";

/**
 * Response events → model events. Items come one after the other. An item of which only the end arrives is read from
 * there, as some servers send no deltas.
 */
export function responsesStreamIn(): StreamIn {
  const reader = createReader();
  let over = false;
  const fail = (fault: Fault): StreamEvent[] => {
    over = true;
    return [{ type: "error", fault }];
  };
  const push = ({ data }: WireEvent): StreamEvent[] => {
    if (over || data.trim() === "[DONE]") return [];
    const event = parseData(data);
    if (event === undefined) return fail(upstreamFault("an event is not a JSON object"));
    switch (event["type"]) {
      case "error":
      case "response.failed":
        return fail(responsesFaultIn(event));
      case "response.completed":
      case "response.incomplete": {
        const events = reader.finish(objectOr(event["response"]));
        if (typeof events === "string") return fail(upstreamFault(events));
        over = true;
        return events;
      }
      default: {
        const events = reader.event(event);
        return typeof events === "string" ? fail(upstreamFault(events)) : events;
      }
    }
  };
  return { push, end: () => (over ? [] : fail(cutFault)) };
}

interface Reader {
  /** The events, or what is wrong. */
  readonly event: (event: JsonObject) => StreamEvent[] | string;
  readonly finish: (response: JsonObject) => StreamEvent[] | string;
}

function createReader(): Reader {
  const parts = new PartTracker(0);
  let started = false;
  /** Whether the open item has shown anything of its content. */
  let shown = false;
  let any = false;
  let openIndex: unknown;

  const start = (response: JsonObject): StreamEvent[] => {
    if (started) return [];
    started = true;
    return [{ type: "start", id: textOr(response["id"], ""), model: textOr(response["model"], "") }];
  };
  const show = (events: StreamEvent[]): StreamEvent[] => {
    shown ||= events.length > 0;
    any ||= events.length > 0;
    return events;
  };
  const itemDone = (item: JsonObject): StreamEvent[] | string => {
    const rest = restOf(parts, item, shown);
    if (typeof rest === "string") return rest;
    const events = [...show(rest), ...parts.end()];
    shown = false;
    return events;
  };
  const event = (input: JsonObject): StreamEvent[] | string => {
    const first = start(objectOr(input["response"]));
    const added = input["type"] === "response.output_item.added";
    if (added && openIndex !== undefined) return "an item begins before the one before it has ended";
    if (!added && openIndex !== undefined && (input["output_index"] ?? openIndex) !== openIndex) {
      return "the pieces of two items are mixed";
    }
    if (added) openIndex = input["output_index"];
    if (input["type"] === "response.output_item.done") openIndex = undefined;
    const events = ((): StreamEvent[] | string => {
      switch (input["type"]) {
        case "response.output_item.added": {
          shown = false;
          const ended = parts.end();
          const opened = openItem(parts, objectOr(input["item"]));
          return typeof opened === "string" ? opened : [...ended, ...opened];
        }
        case "response.output_item.done":
          return itemDone(objectOr(input["item"]));
        case "response.content_part.done":
          return parts.current?.type === "tool_call" ? [] : parts.end();
        default:
          return show(deltaOf(parts, input));
      }
    })();
    return typeof events === "string" ? events : [...first, ...events];
  };
  const finish = (response: JsonObject): StreamEvent[] | string => {
    const events: StreamEvent[] = [...start(response), ...parts.end()];
    for (const item of any ? [] : listOr(response["output"])) {
      const opened = openItem(parts, objectOr(item));
      const done = typeof opened === "string" ? opened : itemDone(objectOr(item));
      if (typeof opened === "string" || typeof done === "string") return "an item is of an unknown type";
      events.push(...opened, ...done);
    }
    const stop = responsesStopIn(response, []);
    if (stop === undefined) return "the status of the response is not known";
    const usage = responsesUsageIn(response["usage"]);
    events.push({ type: "finish", candidate: 0, stop: finalStop(parts, stop) });
    if (usage !== undefined) events.push({ type: "usage", usage });
    return [...events, { type: "end" }];
  };
  return { event, finish };
}

function finalStop(parts: PartTracker, stop: StopReason): StopReason {
  if (stop !== "end") return stop;
  if (parts.hasRefusal) return "refusal";
  return parts.hasCalls ? "tool_calls" : "end";
}

function openItem(parts: PartTracker, item: JsonObject): StreamEvent[] | string {
  const type = textOr(item["type"], "");
  if (type === "message" || type === "reasoning") return [];
  if (type !== "function_call" && type !== "custom_tool_call")
    return `an item of the unknown type ${type.slice(0, 64)}`;
  const id = textOr(item["call_id"], "");
  const name = textOr(item["name"], "");
  if (id === "" || name === "") return "a tool call has no id or no name";
  const namespace = item["namespace"];
  const custom = type === "custom_tool_call";
  return parts.start({ type: "tool_call", id, name, custom, ...(typeof namespace === "string" ? { namespace } : {}) });
}

function deltaOf(parts: PartTracker, event: JsonObject): StreamEvent[] {
  const delta = textOr(event["delta"], "");
  switch (event["type"]) {
    case "response.output_text.delta":
      return parts.text("text", delta, logprobsIn(event["logprobs"]));
    case "response.refusal.delta":
      return parts.text("refusal", delta);
    case "response.reasoning_summary_part.added":
      return parts.current?.type === "reasoning" ? [parts.delta(summarySeparator)] : [];
    case "response.reasoning_summary_text.delta":
    case "response.reasoning_text.delta":
      return parts.text("reasoning", delta);
    case "response.function_call_arguments.delta":
    case "response.custom_tool_call_input.delta":
      return delta === "" || parts.current?.type !== "tool_call" ? [] : [parts.delta(delta)];
    default:
      return [];
  }
}

/** What the end of an item says that its deltas did not. */
function restOf(parts: PartTracker, item: JsonObject, shown: boolean): StreamEvent[] | string {
  switch (item["type"]) {
    case "message":
      return shown ? [] : listOr(item["content"]).flatMap((part) => contentOf(parts, objectOr(part)));
    case "reasoning":
      return reasoningOf(parts, item, shown);
    case "function_call":
    case "custom_tool_call": {
      const opened = parts.current?.type === "tool_call" ? [] : openItem(parts, item);
      if (typeof opened === "string") return opened;
      const text = textOr(item["type"] === "function_call" ? item["arguments"] : item["input"], "");
      return shown || text === "" ? opened : [...opened, parts.delta(text)];
    }
    default:
      return `an item of the unknown type ${textOr(item["type"], "").slice(0, 64)}`;
  }
}

function contentOf(parts: PartTracker, part: JsonObject): StreamEvent[] {
  const said =
    part["type"] === "refusal"
      ? parts.text("refusal", textOr(part["refusal"], ""))
      : parts.text("text", textOr(part["text"], ""), logprobsIn(part["logprobs"]));
  return [...said, ...parts.end()];
}

function reasoningOf(parts: PartTracker, item: JsonObject, shown: boolean): StreamEvent[] {
  const list = listOr(item["summary"]).length > 0 ? listOr(item["summary"]) : listOr(item["content"]);
  const text = list.map((part) => textOr(objectOr(part)["text"], "")).join(summarySeparator);
  const said = shown ? [] : parts.text("reasoning", text);
  const opaque = item["encrypted_content"];
  if (typeof opaque !== "string" || opaque === "") return said;
  const { seal = "", redacted } = reasoningFromOpaque("", opaque);
  return [...said, ...parts.seal(seal, redacted)];
}
