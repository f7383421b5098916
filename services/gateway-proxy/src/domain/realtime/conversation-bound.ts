import { imageTokensMax } from "../hold.ts";
import type { SplitTokens } from "./split-usage.ts";

/**
 * How many tokens the next response of a session reads at most, and how many probably: what the last one reported, and what has
 * been said since. Text and sound apart, for they have prices of their own (docs/adr/0017).
 */

/** What one event of the client adds to the conversation. */
export interface Said {
  readonly textBytes: number;
  readonly audioMs: number;
  readonly images: number;
}

export interface InputTokens {
  readonly text: number;
  readonly audio: number;
}

/** The frame of a session and the provider's own instructions, which no event shows. */
const frameTokens = 1_024;
/** platform.openai.com/docs/guides/realtime-costs (2026-11): what the user says is a token each 100 ms, what the model says one each 50 ms. */
const heardMsPerToken = 100;
export const spokenMsPerToken = 50;
const bytesPerToken = 4;

export class ConversationBound {
  private readonly contextTokens: number;
  private known: InputTokens = { text: 0, audio: 0 };
  private textBytes = 0;
  private audioMs = 0;
  private images = 0;

  /** `contextTokens`: the longest conversation that the model takes. */
  constructor(contextTokens: number) {
    this.contextTokens = contextTokens;
  }

  say(said: Said): void {
    this.textBytes += said.textBytes;
    this.audioMs += said.audioMs;
    this.images += said.images;
  }

  /** What was said up to now; a response that begins now has read it. */
  mark(): Said {
    return { textBytes: this.textBytes, audioMs: this.audioMs, images: this.images };
  }

  /** A response of the conversation has ended that began at `read`: what it reports, question and answer, is what the next one begins with. */
  answered(read: Said, { text, audio }: SplitTokens): void {
    this.known = {
      text: text.input + text.cachedInput + text.output,
      audio: audio.input + audio.cachedInput + audio.output,
    };
    this.textBytes -= read.textBytes;
    this.audioMs -= read.audioMs;
    this.images -= read.images;
  }

  /** No tokenizer finds more than a token in a byte. */
  bound(): InputTokens {
    return this.within({
      text: frameTokens + this.known.text + this.textBytes + this.images * imageTokensMax,
      audio: this.known.audio + Math.ceil(this.audioMs / heardMsPerToken),
    });
  }

  estimate(): InputTokens {
    return this.within({
      text: this.known.text + Math.ceil(this.textBytes / bytesPerToken),
      audio: this.known.audio + Math.ceil(this.audioMs / heardMsPerToken),
    });
  }

  /** The bound with room for what will be said next, so that a hold need not grow with each word. */
  boundWithRoom(): InputTokens {
    const { text, audio } = this.bound();
    return this.within({ text: text + roomTokens.text, audio: audio + roomTokens.audio });
  }

  private within({ text, audio }: InputTokens): InputTokens {
    return { text: Math.min(text, this.contextTokens), audio: Math.min(audio, this.contextTokens) };
  }
}

/** Half a page of text; two minutes of speech. */
const roomTokens: InputTokens = { text: 2_048, audio: 1_200 };
