import { marksOf, textBytesAt } from "./chat-chunk.ts";
import { isObject, type Json } from "./fields.ts";
import type { SseEvent } from "./sse-scanner.ts";
import {
  parsedEvent,
  safeName,
  typeOf,
  withoutCost,
  type EndingFacts,
  type Reading,
  type StreamState,
  type WireEvent,
} from "./stream-state.ts";
import { messagesUsage } from "./usage-objects.ts";
import { tokensFromAnthropicUsage } from "./usage.ts";

/**
 * Anthropic's stream. `message_start` tells the prompt's tokens, `message_delta` all of them, cumulative; the last
 * `message_delta` is held back until `message_stop`, because the cost goes into its usage.
 */

const textMarks = marksOf("text", "thinking", "partial_json");

export class MessageStream implements StreamState {
  readonly eventBytesMax = 1_048_576;
  private usage: Json = {};
  private delta: Json | undefined;
  private openBlock: number | undefined;
  private started = false;
  private believed = false;

  get whole(): boolean {
    return this.delta !== undefined && isObject(this.delta["delta"]) && this.delta["delta"]["stop_reason"] != null;
  }

  read(event: SseEvent): Reading {
    const type = typeOf(event);
    switch (type) {
      case "message_start":
        return this.start(event);
      case "message_delta":
        return this.messageDelta(event);
      case "message_stop":
        return { end: true };
      case "error":
        return { failed: true };
      case "ping":
        return { passAs: "ping" };
      default:
        return this.passed(event, type);
    }
  }

  ending({ tokens, reported, cost }: EndingFacts): readonly WireEvent[] {
    const event = this.delta ?? { type: "message_delta", delta: { stop_reason: "end_turn", stop_sequence: null } };
    const own = isObject(event["usage"]) ? event["usage"] : {};
    const usage = this.believed && reported ? own : messagesUsage(tokens);
    this.delta = undefined;
    return [
      { name: "message_delta", data: JSON.stringify({ ...event, usage: { ...usage, ...cost } }) },
      { name: "message_stop", data: '{"type":"message_stop"}' },
    ];
  }

  stopAtHold(): readonly WireEvent[] {
    this.delta = { type: "message_delta", delta: { stop_reason: "max_tokens", stop_sequence: null } };
    const index = this.openBlock;
    if (index === undefined) return [];
    return [{ name: "content_block_stop", data: JSON.stringify({ type: "content_block_stop", index }) }];
  }

  private start(raw: SseEvent): Reading {
    const event = parsedEvent(raw.data);
    const message = event?.["message"];
    if (!event || !isObject(message)) return { failed: true };
    this.started = true;
    if (isObject(message["usage"])) this.usage = message["usage"];
    // What is told of the output here is one token of a whole answer: the prompt alone is worth knowing.
    const prompt = tokensFromAnthropicUsage({ ...this.usage, output_tokens: 0 });
    const usage = withoutCost(message["usage"]);
    const sent = usage === undefined ? event : { ...event, message: { ...message, usage } };
    return { out: [{ name: "message_start", data: JSON.stringify(sent) }], ...(prompt ? { prompt } : {}) };
  }

  private messageDelta(raw: SseEvent): Reading {
    const event = parsedEvent(raw.data);
    if (!event) return { failed: true };
    const before = this.delta;
    this.delta = event;
    const reported = event["usage"];
    if (isObject(reported)) this.usage = { ...this.usage, ...notNull(reported) };
    const usage = isObject(reported) ? tokensFromAnthropicUsage(this.usage) : undefined;
    this.believed = usage !== undefined;
    const out = before ? [{ name: "message_delta", data: JSON.stringify(withoutCostIn(before)) }] : [];
    return { out, ...(usage ? { usage } : {}) };
  }

  private passed(event: SseEvent, type: string): Reading {
    // Clients read nothing before the start: an event of another dialect is no answer of this one.
    if (!this.started || type === "" || safeName(type) === undefined) return { failed: true };
    if (type === "content_block_start") this.openBlock = indexOf(event.data);
    else if (type === "content_block_stop") this.openBlock = undefined;
    return { passAs: type, answerBytes: textBytesAt(event, textMarks) };
  }
}

function withoutCostIn(event: Json): Json {
  return "usage" in event ? { ...event, usage: withoutCost(event["usage"]) } : event;
}

function notNull(usage: Json): Json {
  return Object.fromEntries(Object.entries(usage).filter(([, value]) => value !== null));
}

function indexOf(data: Buffer): number | undefined {
  const digits = /"index"\s*:\s*(\d{1,6})/.exec(data.toString("latin1", 0, 4_096))?.[1];
  return digits === undefined ? undefined : Number.parseInt(digits, 10);
}
