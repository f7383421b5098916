import type { JsonObject } from "../model/dialect.ts";
import type { Fault, StreamEvent, StreamIn, WireEvent } from "../model/events.ts";
import { PartTracker } from "../model/part-tracker.ts";
import { cutFault, objectOr, parseData, textOr, upstreamFault } from "../model/parse-data.ts";
import { eventLengthMax } from "../sse/reader.ts";
import { refusalText } from "./answer-in.ts";
import { messagesFaultIn } from "./error-in.ts";
import { messagesStopIn } from "./stop.ts";
import { messagesUsageIn } from "./usage.ts";

class MalformedStreamError extends Error {}

/**
 * Message events → model events. Blocks come one after the other. Events and deltas of unknown types are passed over, as
 * Anthropic asks of clients; an unknown block is a fault, for its content would be lost.
 */
export function messagesStreamIn(): StreamIn {
  const reader = createReader();
  let over = false;
  const fail = (fault: Fault): StreamEvent[] => {
    over = true;
    return [{ type: "error", fault }];
  };
  const push = ({ data }: WireEvent): StreamEvent[] => {
    if (over) return [];
    const event = parseData(data);
    if (event === undefined) return fail(upstreamFault("an event is not a JSON object"));
    if (event["type"] === "error") return fail(messagesFaultIn(event));
    if (event["type"] === "message_stop") {
      if (!reader.finished()) return fail(upstreamFault("the message stopped without a reason"));
      over = true;
      return [{ type: "end" }];
    }
    try {
      return reader.event(event);
    } catch (error) {
      if (error instanceof MalformedStreamError) return fail(upstreamFault(error.message));
      throw error;
    }
  };
  // An answer is whole once its reason to stop is known, also without `message_stop`.
  const end = (): StreamEvent[] => {
    if (over) return [];
    if (!reader.finished()) return fail(cutFault);
    over = true;
    return [{ type: "end" }];
  };
  return { push, end };
}

function createReader(): { event: (event: JsonObject) => StreamEvent[]; finished: () => boolean } {
  const parts = new PartTracker(0);
  let started = false;
  let finished = false;
  let firstUsage: unknown = {};
  let seal = "";

  const start = (message: JsonObject): StreamEvent[] => {
    if (started) return [];
    started = true;
    firstUsage = message["usage"];
    const usage = messagesUsageIn(firstUsage);
    return [
      { type: "start", id: textOr(message["id"], ""), model: textOr(message["model"], ""), ...(usage && { usage }) },
    ];
  };
  const stopBlock = (): StreamEvent[] => {
    const { current } = parts;
    const sealed = seal === "" ? [] : parts.seal(seal, current?.type === "reasoning" && current.redacted);
    seal = "";
    return [...sealed, ...parts.end()];
  };
  const startBlock = (block: JsonObject): StreamEvent[] => {
    const opened = startOf(parts, block);
    if (block["type"] !== "redacted_thinking") return opened;
    return [...opened, { type: "seal", candidate: 0, seal: textOr(block["data"], "") }, ...parts.end()];
  };
  const finish = (event: JsonObject): StreamEvent[] => {
    const delta = objectOr(event["delta"]);
    const usage = messagesUsageIn(event["usage"], firstUsage);
    const counted: StreamEvent[] = usage === undefined ? [] : [{ type: "usage", usage }];
    const stop = messagesStopIn(delta["stop_reason"]);
    if (finished || delta["stop_reason"] == null) return [];
    if (stop === undefined) throw new MalformedStreamError("the reason to stop is not known");
    finished = true;
    const sequence = delta["stop_sequence"];
    const met = typeof sequence === "string" ? { stopSequence: sequence } : {};
    const closed = stopBlock();
    const refusal = parts.text("refusal", refusalText(delta["stop_details"]));
    return [...closed, ...refusal, ...parts.end(), { type: "finish", candidate: 0, stop, ...met }, ...counted];
  };
  const read = (event: JsonObject): StreamEvent[] => {
    if (event["type"] === "message_start") return start(objectOr(event["message"]));
    if (!started) {
      if (event["type"] === "ping") return [];
      throw new MalformedStreamError("the stream does not begin with message_start");
    }
    switch (event["type"]) {
      case "content_block_start":
        return [...stopBlock(), ...startBlock(objectOr(event["content_block"]))];
      case "content_block_delta": {
        const delta = objectOr(event["delta"]);
        seal += delta["type"] === "signature_delta" ? textOr(delta["signature"], "") : "";
        if (seal.length > eventLengthMax) throw new MalformedStreamError("a signature is too long");
        return deltaOf(parts, delta);
      }
      case "content_block_stop":
        return stopBlock();
      case "message_delta":
        return finish(event);
      default:
        return [];
    }
  };
  return { event: read, finished: () => finished };
}

function startOf(parts: PartTracker, block: JsonObject): StreamEvent[] {
  switch (block["type"]) {
    case "text":
      return parts.text("text", textOr(block["text"], ""));
    case "thinking":
      return parts.text("reasoning", textOr(block["thinking"], ""));
    case "redacted_thinking":
      return parts.start({ type: "reasoning", redacted: true });
    case "tool_use": {
      const id = textOr(block["id"], "");
      const name = textOr(block["name"], "");
      if (id === "" || name === "") throw new MalformedStreamError("a tool call has no id or no name");
      const input = objectOr(block["input"]);
      const whole = Object.keys(input).length === 0 ? [] : [parts.delta(JSON.stringify(input))];
      return [...parts.start({ type: "tool_call", id, name, custom: false }), ...whole];
    }
    default:
      throw new MalformedStreamError(`a block of the unknown type ${textOr(block["type"], "").slice(0, 64)}`);
  }
}

/** Text opens its part with its first character: a block that stays empty is none. */
function deltaOf(parts: PartTracker, delta: JsonObject): StreamEvent[] {
  switch (delta["type"]) {
    case "text_delta":
      return parts.text("text", textOr(delta["text"], ""));
    case "thinking_delta":
      return parts.text("reasoning", textOr(delta["thinking"], ""));
    case "input_json_delta": {
      const piece = textOr(delta["partial_json"], "");
      return piece === "" || parts.current?.type !== "tool_call" ? [] : [parts.delta(piece)];
    }
    default:
      return [];
  }
}
