import type { PartOpening, StreamEvent } from "./events.ts";
import type { TokenLogprob } from "./answer.ts";

/**
 * Writes the part events of one candidate for a reader whose dialect does not number or end parts itself: opening a part
 * ends the one before it.
 */
export class PartTracker {
  private readonly candidate: number;
  private open: PartOpening | undefined;
  private next = 0;
  /** What the parts so far say about how the answer ended. */
  private called = false;
  private refused = false;

  constructor(candidate: number) {
    this.candidate = candidate;
  }

  get current(): PartOpening | undefined {
    return this.open;
  }

  get hasCalls(): boolean {
    return this.called;
  }

  get hasRefusal(): boolean {
    return this.refused;
  }

  start(part: PartOpening): StreamEvent[] {
    const events = this.end();
    this.open = part;
    this.called ||= part.type === "tool_call";
    this.refused ||= part.type === "refusal";
    events.push({ type: "part_start", candidate: this.candidate, index: this.next, part });
    this.next += 1;
    return events;
  }

  /** Text for a part of this type: for the open one, or a new one. Empty text opens nothing. */
  text(type: "text" | "refusal" | "reasoning", text: string, logprobs?: readonly TokenLogprob[]): StreamEvent[] {
    if (text === "" && logprobs === undefined) return [];
    const opened =
      this.open?.type === type ? [] : this.start(type === "reasoning" ? { type, redacted: false } : { type });
    return [...opened, this.delta(text, logprobs)];
  }

  delta(text: string, logprobs?: readonly TokenLogprob[]): StreamEvent {
    const more = logprobs === undefined ? {} : { logprobs };
    return { type: "delta", candidate: this.candidate, text, ...more };
  }

  /** The seal of the open reasoning, or of reasoning that shows no text. */
  seal(seal: string, redacted: boolean): StreamEvent[] {
    const joins = this.open?.type === "reasoning" && !redacted && !this.open.redacted;
    const opened = joins ? [] : this.start({ type: "reasoning", redacted });
    return [...opened, { type: "seal", candidate: this.candidate, seal }, ...this.end()];
  }

  end(): StreamEvent[] {
    if (this.open === undefined) return [];
    this.open = undefined;
    return [{ type: "part_end", candidate: this.candidate }];
  }
}
