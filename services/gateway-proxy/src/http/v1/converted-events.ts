import type { StreamConversion } from "@codex/dialects";
import { SseScanner } from "../../domain/sse-scanner.ts";
import type { EventSource } from "./relay-stream.ts";

/**
 * The longest event that a conversion can write: `response.completed` repeats an answer of at most eight million characters
 * (libs/dialects, `keptLengthMax`), each at most six bytes of JSON, and the rest of the event is small.
 */
const eventBytesMax = 67_108_864;

/**
 * The stream of an upstream that speaks another dialect, as the events of the endpoint's own: from here on it is charged, held
 * and ended like any other. An error that the conversion writes is the upstream's failure, and the relay answers for it.
 */
export function convertedEvents(conversion: StreamConversion): EventSource {
  const scanner = new SseScanner(eventBytesMax);
  const read = (texts: readonly string[]) => (texts.length === 0 ? [] : scanner.push(Buffer.from(texts.join(""))));
  return {
    push: (chunk) => read(conversion.push(chunk)),
    end: () => read(conversion.end()),
    counts: () => {
      const { usage, prompt } = conversion.state();
      return { ...(usage && { usage }), ...(prompt && { prompt }) };
    },
  };
}
