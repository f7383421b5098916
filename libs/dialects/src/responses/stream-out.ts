import type { StopReason } from "../model/answer.ts";
import type { Fault, OutputContext, StreamEvent, StreamOut, WireEvent } from "../model/events.ts";
import type { JsonObject } from "../model/dialect.ts";
import { upstreamFault } from "../model/parse-data.ts";
import type { Usage } from "../model/usage.ts";
import { wireEvent } from "../sse/writer.ts";
import { errorEvent, failedError } from "./error-out.ts";
import { OutputItems } from "./output-items.ts";
import { responseObject, responsesStopOut } from "./response.ts";

/**
 * What is kept of an answer for `response.completed`, whose `output` is the whole answer, in UTF-16 units: sixteen times
 * what the largest model of 2026 writes (128,000 tokens of four characters). An answer beyond it fails.
 */
export const keptLengthMax = 8_388_608;

interface State {
  id: string;
  sequence: number;
  stop: StopReason;
  usage: Usage | undefined;
  failed: boolean;
}

/** Model events → the full event sequence of responses, each with its `sequence_number`. */
export function responsesStreamOut(output: OutputContext): StreamOut {
  const items = new OutputItems(output);
  const state: State = { id: "", sequence: 0, stop: "end", usage: undefined, failed: false };

  const numbered = (event: JsonObject): WireEvent => {
    const sequence_number = state.sequence;
    state.sequence += 1;
    return wireEvent(String(event["type"]), { ...event, sequence_number });
  };
  const response = (type: string, more: Parameters<typeof responseObject>[2]): JsonObject => ({
    type,
    response: responseObject(output, state.id, more),
  });
  const fail = (fault: Fault): JsonObject[] => {
    state.failed = true;
    const error = failedError(fault, output);
    return [
      errorEvent(fault, output),
      response("response.failed", { status: "failed", error, items: items.finished, usage: state.usage }),
    ];
  };
  const end = (): JsonObject => {
    const { status, incomplete_details } = responsesStopOut(state.stop, items.refused);
    const more = { status, incomplete_details, items: items.finished, usage: state.usage };
    return response(status === "completed" ? "response.completed" : "response.incomplete", more);
  };
  const events = (event: StreamEvent): JsonObject[] => {
    switch (event.type) {
      case "start":
        state.id = event.id;
        return ["response.created", "response.in_progress"].map((type) =>
          response(type, { status: "in_progress", items: [] }),
        );
      case "part_start":
        return items.start(event.part);
      case "delta": {
        const more = items.delta(event.text, event.logprobs);
        return items.length > keptLengthMax ? fail(upstreamFault("the answer is too long")) : more;
      }
      case "seal":
        items.seal(event.seal);
        return [];
      case "part_end":
        return items.endPart();
      case "finish":
        state.stop = event.stop;
        return items.endItem();
      case "usage":
        state.usage = event.usage;
        return [];
      case "end":
        return [end()];
      case "error":
        return fail(event.fault);
    }
  };
  return { push: (event) => (state.failed ? [] : events(event).map(numbered)) };
}
