import type { AppError, ErrorKind } from "@codex/kernel";
import type { Fault } from "./events.ts";

/** What a client is told of a fault; the provider's own words stay in our log. */
export function faultSentence(fault: Fault, requestId: string): string {
  return `${fault.shown?.message ?? sentenceOf(fault.kind)} — request ${requestId}`;
}

function sentenceOf(kind: ErrorKind): string {
  switch (kind) {
    case "rate_limited":
      return "The model's provider is limiting requests at the moment, and the answer is not whole.";
    case "unavailable":
      return "The model's provider is overloaded at the moment, and the answer is not whole.";
    case "timeout":
      return "The model's provider did not go on in time, and the answer is not whole.";
    case "invalid":
      return "The model's provider refused this request as invalid.";
    default:
      return "The model's provider failed in the middle of the answer, which is not whole.";
  }
}

/** An error of ours, whose sentence is made to be shown. */
export function faultOf(error: AppError): Fault {
  return { kind: error.kind, detail: error.code, shown: { message: error.publicMessage, code: error.code } };
}
