import type { Delivered } from "./exchange.ts";

/** One server-sent event and what is known about it. */
export interface Frame extends Delivered {
  readonly wire: string;
  /** Tokens generated for it: what pacing waits for. */
  readonly tokens?: number;
  /** The event that tells the client that the answer is whole. */
  readonly terminator?: boolean;
}

type Json = Readonly<Record<string, unknown>>;

/** `data: {…}`, the OpenAI way. */
export function dataFrame(data: Json, facts: Omit<Frame, "wire"> = {}): Frame {
  return { wire: `data: ${JSON.stringify(data)}\n\n`, ...facts };
}

/** `event: type` and `data: {…}`, the Anthropic way; the name is the data's `type`. */
export function eventFrame(data: Json & { readonly type: string }, facts: Omit<Frame, "wire"> = {}): Frame {
  return { wire: `event: ${data.type}\ndata: ${JSON.stringify(data)}\n\n`, ...facts };
}
