import { ChunkReader, isDone } from "./chat-chunk.ts";
import type { Json } from "./fields.ts";
import { eventBytesMax, type SseEvent } from "./sse-scanner.ts";
import {
  parsedEvent,
  withoutCost,
  type EndingFacts,
  type Reading,
  type StreamState,
  type WireEvent,
} from "./stream-state.ts";
import { chatUsage } from "./usage-objects.ts";
import { tokensFromOpenAiUsage } from "./usage.ts";

/**
 * The stream of chat completions and of the older completions. Only events that may carry usage or an error are parsed. The
 * last event that carries usage is held back until the end is known, because the cost goes into it.
 */
export class ChatStream implements StreamState {
  readonly eventBytesMax = eventBytesMax;
  private readonly object: "chat.completion.chunk" | "text_completion";
  private readonly reader = new ChunkReader();
  private held: Json | undefined;
  private believed = false;
  private finishSeen = false;
  private head: { readonly id: unknown; readonly created: unknown; readonly model: unknown } | undefined;

  constructor(object: "chat.completion.chunk" | "text_completion") {
    this.object = object;
  }

  get whole(): boolean {
    return this.finishSeen;
  }

  read(event: SseEvent): Reading {
    if (isDone(event)) return { end: true };
    const { needsParsing, mayFinish, answerBytes } = this.reader.read(event);
    this.finishSeen ||= mayFinish;
    if (!needsParsing && this.head && !this.held) return { passAs: "", answerBytes };
    const { held } = this;
    this.held = undefined;
    const out = held ? [this.event({ ...held, usage: withoutCost(held["usage"]) })] : [];
    if (!this.head || needsParsing) return this.parsed(event, out, answerBytes);
    return { out, passAs: "", answerBytes };
  }

  ending({ tokens, cost }: EndingFacts): readonly WireEvent[] {
    const chunk = this.held ?? { ...this.head, object: this.object, choices: [] };
    const usage = this.believed && this.held ? this.held["usage"] : chatUsage(tokens);
    this.held = undefined;
    return [this.event({ ...chunk, usage: { ...(usage as object), ...cost } }), { name: undefined, data: "[DONE]" }];
  }

  /** An upstream that does not keep to the bound it was given: the answer ends as one that reached its length. */
  stopAtHold(): readonly WireEvent[] {
    const choice = this.object === "text_completion" ? { text: "" } : { delta: {} };
    return [
      this.event({ ...this.head, object: this.object, choices: [{ index: 0, ...choice, finish_reason: "length" }] }),
    ];
  }

  private parsed({ data }: SseEvent, out: readonly WireEvent[], answerBytes: number): Reading {
    const chunk = parsedEvent(data);
    if (!chunk || chunk["error"] != null) return { out, failed: true };
    this.head ??= { id: chunk["id"], created: chunk["created"], model: chunk["model"] };
    if (chunk["usage"] == null) return { out, passAs: "", answerBytes };
    this.held = chunk;
    const usage = tokensFromOpenAiUsage(chunk["usage"]);
    this.believed = usage !== undefined;
    return { out, answerBytes, ...(usage ? { usage } : {}) };
  }

  private event(chunk: Json): WireEvent {
    return { name: undefined, data: JSON.stringify(chunk) };
  }
}
