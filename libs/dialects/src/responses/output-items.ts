import { logprobsOut } from "../chat/logprobs.ts";
import type { TokenLogprob } from "../model/answer.ts";
import type { JsonObject } from "../model/dialect.ts";
import type { OutputContext, PartOpening } from "../model/events.ts";
import { callBody, contentOut, reasoningBody } from "./item-out.ts";
import { itemId } from "./response.ts";

type TextOpening = Extract<PartOpening, { readonly type: "text" | "refusal" }>;
type ReasoningOpening = Extract<PartOpening, { readonly type: "reasoning" }>;
type CallOpening = Extract<PartOpening, { readonly type: "tool_call" }>;

/**
 * The items of a response while it is written: which one is open, its events, and the finished ones for the last event.
 * Text and refusals that follow each other are content parts of one message.
 */
export class OutputItems {
  readonly finished: JsonObject[] = [];
  /** UTF-16 units kept. */
  length = 0;
  refused = false;
  private readonly output: OutputContext;
  private part: PartOpening | undefined;
  private text = "";
  private sealed: string | undefined;
  private logprobs: TokenLogprob[] = [];
  /** Content of the open message; undefined when no message is open. */
  private message: JsonObject[] | undefined;

  constructor(output: OutputContext) {
    this.output = output;
  }

  start(part: PartOpening): JsonObject[] {
    this.part = part;
    this.text = "";
    this.sealed = undefined;
    this.logprobs = [];
    if (part.type === "text" || part.type === "refusal") return this.startContent(part);
    const closed = this.endItem();
    this.part = part;
    if (part.type === "reasoning")
      return [...closed, this.added({ id: this.id("reasoning"), type: "reasoning", summary: [] })];
    const item = { id: this.callId(part), ...callBody(part, ""), status: "in_progress" };
    return [...closed, this.added(item)];
  }

  delta(text: string, logprobs: readonly TokenLogprob[] | undefined): JsonObject[] {
    const { part } = this;
    const first = this.text === "";
    this.text += text;
    this.length += text.length;
    if (logprobs !== undefined) this.keep(logprobs);
    switch (part?.type) {
      case undefined:
        return [];
      case "text": {
        const more = { delta: text, logprobs: logprobsOut(logprobs ?? []) };
        return [{ type: "response.output_text.delta", ...this.contentPlace(), ...more }];
      }
      case "refusal":
        return [{ type: "response.refusal.delta", ...this.contentPlace(), delta: text }];
      case "reasoning": {
        const place = { item_id: this.id("reasoning"), output_index: this.index, summary_index: 0 };
        const opening = {
          type: "response.reasoning_summary_part.added",
          ...place,
          part: { type: "summary_text", text: "" },
        };
        const delta = { type: "response.reasoning_summary_text.delta", ...place, delta: text };
        return first && text !== "" ? [opening, delta] : [delta];
      }
      case "tool_call":
        return [
          { type: `${callEvents(part)}.delta`, item_id: this.callId(part), output_index: this.index, delta: text },
        ];
    }
  }

  seal(seal: string): void {
    this.sealed = seal;
    this.length += seal.length;
  }

  endPart(): JsonObject[] {
    const { part } = this;
    this.part = undefined;
    switch (part?.type) {
      case undefined:
        return [];
      case "text":
      case "refusal":
        return this.endContent(part);
      case "reasoning":
        return this.endReasoning(part);
      case "tool_call":
        return this.endCall(part);
    }
  }

  /** Closes the open message; other items are closed with their part. */
  endItem(): JsonObject[] {
    const content = this.message;
    if (content === undefined) return [];
    this.message = undefined;
    return [this.done({ id: this.id("message"), type: "message", status: "completed", role: "assistant", content })];
  }

  private get index(): number {
    return this.finished.length;
  }

  private id(type: "message" | "reasoning"): string {
    return itemId(this.output, type, this.index);
  }

  private callId(part: CallOpening): string {
    return itemId(this.output, part.custom ? "custom_tool_call" : "function_call", this.index);
  }

  private keep(logprobs: readonly TokenLogprob[]): void {
    this.logprobs.push(...logprobs);
    // An entry with its alternatives is about this large; they are bounded like the text.
    for (const { token, top } of logprobs) this.length += token.length + 32 * (1 + top.length);
  }

  private contentPlace(): JsonObject {
    return { item_id: this.id("message"), output_index: this.index, content_index: this.message?.length ?? 0 };
  }

  private startContent(part: TextOpening): JsonObject[] {
    if (part.type === "refusal") this.refused = true;
    const opened: JsonObject[] = [];
    if (this.message === undefined) {
      this.message = [];
      const item = { id: this.id("message"), type: "message", status: "in_progress", role: "assistant", content: [] };
      opened.push(this.added(item));
    }
    const empty = contentOut({ type: part.type, text: "" });
    return [...opened, { type: "response.content_part.added", ...this.contentPlace(), part: empty }];
  }

  private endContent(part: TextOpening): JsonObject[] {
    const place = this.contentPlace();
    const counted = this.logprobs.length === 0 ? {} : { logprobs: logprobsOut(this.logprobs) };
    const content = { ...contentOut({ type: part.type, text: this.text }), ...counted };
    const done =
      part.type === "text"
        ? { type: "response.output_text.done", ...place, text: this.text, logprobs: logprobsOut(this.logprobs) }
        : { type: "response.refusal.done", ...place, refusal: this.text };
    this.message?.push(content);
    return [done, { type: "response.content_part.done", ...place, part: content }];
  }

  private endReasoning(part: ReasoningOpening): JsonObject[] {
    const seal = this.sealed === undefined ? {} : { seal: this.sealed };
    const body = reasoningBody({ type: "reasoning", text: this.text, redacted: part.redacted, ...seal });
    const place = { item_id: this.id("reasoning"), output_index: this.index, summary_index: 0 };
    const summary = { type: "summary_text", text: this.text };
    const closing =
      this.text === ""
        ? []
        : [
            { type: "response.reasoning_summary_text.done", ...place, text: this.text },
            { type: "response.reasoning_summary_part.done", ...place, part: summary },
          ];
    return [...closing, this.done({ id: this.id("reasoning"), ...body })];
  }

  private endCall(part: CallOpening): JsonObject[] {
    const place = { item_id: this.callId(part), output_index: this.index };
    const whole = part.custom ? { input: this.text } : { arguments: this.text };
    const item = { id: this.callId(part), ...callBody(part, this.text), status: "completed" };
    return [{ type: `${callEvents(part)}.done`, ...place, ...whole }, this.done(item)];
  }

  private added(item: JsonObject): JsonObject {
    return { type: "response.output_item.added", output_index: this.index, item };
  }

  private done(item: JsonObject): JsonObject {
    const event = { type: "response.output_item.done", output_index: this.index, item };
    this.finished.push(item);
    return event;
  }
}

function callEvents(part: CallOpening): string {
  return part.custom ? "response.custom_tool_call_input" : "response.function_call_arguments";
}
