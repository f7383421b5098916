import type { AppError, MicroTokens } from "@codex/kernel";
import type { Ending } from "../domain/charge.ts";
import { spokenMsPerToken, type InputTokens, type Said } from "../domain/realtime/conversation-bound.ts";
import { base64Ms } from "../domain/realtime/sound-format.ts";
import { hasTokens, type SplitTokens } from "../domain/realtime/split-usage.ts";
import { noTokens } from "../domain/usage.ts";
import type { Closing, MeteredRequest } from "./metered-request.ts";
import type { ChargedResponse, FundedParts } from "./response-funds.ts";

/**
 * One response of a session, from `response.created` to its charge: the record of its text and, when there is any, the one of
 * its sound. It ends exactly once.
 */
export class RunningResponse {
  /** What it has read of the conversation. */
  readonly read: Said;
  readonly inConversation: boolean;
  private readonly parts: FundedParts;
  private readonly input: InputTokens;
  /** Undefined until there is some; null: the disk refused its record. */
  private sound: MeteredRequest | undefined | null;
  private soundBytes = 0;
  private closed: ChargedResponse | undefined;
  /** It was cancelled for its hold: once is enough. */
  cancelled = false;

  constructor(parts: FundedParts, input: InputTokens, read: Said, inConversation: boolean) {
    this.parts = parts;
    this.input = input;
    this.read = read;
    this.inConversation = inConversation;
    const { text } = parts;
    text.accepted = true;
    text.prompt = { ...noTokens, input: input.text };
  }

  /** A piece goes to the client. Throws when the disk refuses. */
  delivered(textBytes: number, soundCharacters: number, bytesPerMs: number): void {
    const { text } = this.parts;
    text.firstByte();
    if (textBytes > 0) {
      text.delivered(textBytes);
      text.progress();
    }
    if (soundCharacters === 0) return;
    const sound = this.sound ?? this.soundFrom(true);
    sound.firstByte();
    // What a token of sound is in the bytes that a token of text is estimated by.
    const tokens = base64Ms(soundCharacters, bytesPerMs) / spokenMsPerToken;
    this.soundBytes += tokens * 4;
    const whole = Math.floor(this.soundBytes);
    this.soundBytes -= whole;
    sound.delivered(whole);
    sound.progress();
  }

  /** The delivered part has reached the hold. */
  get exhausted(): boolean {
    return this.parts.text.exhausted || this.sound?.exhausted === true;
  }

  /** Model tokens of both records; 0 before it ends. */
  get usedTokens(): number {
    return this.parts.text.usedTokens + (this.sound?.usedTokens ?? 0);
  }

  /** As the upstream ended it. */
  finish(usage: SplitTokens | undefined, failed: boolean): ChargedResponse {
    return this.close(usage, { ending: "finished", httpStatus: 200, errorCode: failed ? "upstream_error" : null });
  }

  /** Nobody ended it: the session is over. */
  cut(ending: Exclude<Ending, "finished">, error: Pick<AppError, "code">): ChargedResponse {
    return this.close(undefined, { ending, httpStatus: ending === "client_closed" ? 499 : 200, errorCode: error.code });
  }

  /** A second call returns what the first one did. */
  private close(usage: SplitTokens | undefined, closing: Closing): ChargedResponse {
    if (this.closed) return this.closed;
    const { text } = this.parts;
    text.usage = usage?.text;
    // Sound that was heard costs, also where none was answered.
    const heard = usage ? hasTokens(usage.audio) : this.input.audio > 0;
    if (this.sound === undefined && heard) this.soundFrom(false);
    if (this.sound === undefined) this.parts.withoutSound();
    if (this.sound) this.sound.usage = usage?.audio;
    const records = this.sound ? [text, this.sound] : [text];
    const delivered = records.some(({ deliveredBytes }) => deliveredBytes > 0);
    let cost: MicroTokens = 0n;
    let estimated = false;
    for (const record of records) {
      record.answered = delivered;
      const { charge } = record.close(closing);
      cost += charge.cost;
      estimated ||= charge.estimated;
    }
    this.parts.end(this.usedTokens);
    this.closed = { cost, estimated, requestIds: records.map(({ init }) => init.requestId) };
    return this.closed;
  }

  private soundFrom(journal: boolean): MeteredRequest {
    this.sound = null;
    const sound = this.parts.sound(journal);
    sound.accepted = true;
    sound.prompt = { ...noTokens, input: this.input.audio };
    this.sound = sound;
    return sound;
  }
}
