import type { AppError } from "@codex/kernel";
import { dialects } from "./dialects.ts";
import type { DialectName } from "./model/dialect.ts";
import type { Fault, OutputContext, StreamEvent, WireEvent } from "./model/events.ts";
import { faultOf } from "./model/fault.ts";
import { upstreamFault } from "./model/parse-data.ts";
import type { ToolNames } from "./model/tool-names.ts";
import type { Usage } from "./model/usage.ts";
import { restoreStream } from "./restore.ts";
import { createSseReader, EventTooLargeError } from "./sse/reader.ts";
import { writeSse } from "./sse/writer.ts";

/**
 * A provider's stream becoming the client's. What it keeps is one unfinished event, the open part, and for responses the
 * answer itself (its last event repeats it; `keptLengthMax`). After an error it is over: everything else is passed over.
 */
export interface StreamConversion {
  /** Bytes of the provider → events for the client, as text to be written; often none. Never throws for what it is fed. */
  readonly push: (bytes: Uint8Array) => string[];
  /** The provider's connection ended: the last events, or an error event when the answer was not whole. */
  readonly end: () => string[];
  /** The gateway itself ends the answer (a time-out, a revoked key): the error event, unless the stream is over. */
  readonly fail: (error: AppError) => string[];
  readonly state: () => StreamState;
}

export interface StreamState {
  /** The client has its last event. */
  readonly over: boolean;
  /** What the provider told of the prompt before the answer; its output classes are 0. */
  readonly prompt: Usage | undefined;
  /** The provider's count of the whole; undefined until it gave one that can be believed. */
  readonly usage: Usage | undefined;
  /** Why the answer is not whole. */
  readonly fault: Fault | undefined;
}

export interface StreamOptions {
  readonly client: DialectName;
  readonly provider: DialectName;
  readonly names: ToolNames;
  readonly output: OutputContext;
}

export function createStreamConversion({ client, provider, names, output }: StreamOptions): StreamConversion {
  const sse = createSseReader();
  const reader = dialects[provider].streamIn(output.answerId);
  const writer = dialects[client].streamOut(output);
  const restore = restoreStream(names);
  const several = dialects[client].severalAnswers;
  let over = false;
  let prompt: Usage | undefined;
  let usage: Usage | undefined;
  let fault: Fault | undefined;

  const write = (event: StreamEvent): string[] => {
    if (over) return [];
    const checked = checkCandidate(event, several);
    if (checked.type === "start" && checked.usage) prompt = { ...checked.usage, output: 0, reasoning: 0 };
    if (checked.type === "usage") ({ usage } = checked);
    if (checked.type === "error") ({ fault } = checked);
    over = checked.type === "end" || checked.type === "error";
    return writer.push(checked).map(writeSse);
  };
  const writeAll = (events: readonly StreamEvent[]): string[] => events.flatMap(restore).flatMap(write);
  const read = (event: WireEvent): string[] => writeAll(reader.push(event));

  return {
    push: (bytes) => {
      if (over) return [];
      try {
        return sse.push(bytes).flatMap(read);
      } catch (error) {
        if (error instanceof EventTooLargeError) return write({ type: "error", fault: upstreamFault(error.message) });
        throw error;
      }
    },
    end: () => writeAll(reader.end()),
    fail: (error) => write({ type: "error", fault: faultOf(error) }),
    state: () => ({ over, prompt, usage, fault }),
  };
}

/** A second answer that nobody asked for has no place in dialects that know one. */
function checkCandidate(event: StreamEvent, several: boolean): StreamEvent {
  if (several || !("candidate" in event) || event.candidate === 0) return event;
  return { type: "error", fault: upstreamFault("there are several answers") };
}
