import { toOpenAiError } from "@codex/http/edge";
import { AppError, newId, type RequestId } from "@codex/kernel";

/** An `error` event in OpenAI's form; `clientEventId`: the event of the client that it answers. */
export function errorEvent(error: AppError, requestId: RequestId, clientEventId?: string): string {
  const { message, type, code, param } = toOpenAiError(error, requestId).body.error;
  return JSON.stringify({
    type: "error",
    event_id: newId("evt"),
    error: { type, code, message, param, event_id: clientEventId ?? null },
  });
}

export function sessionEnded(why: "idle" | "age"): AppError {
  return new AppError({
    kind: "timeout",
    code: "session_expired",
    publicMessage:
      why === "idle"
        ? "The session was ended, because nothing was said for a long time. Open another one."
        : "The session has reached its longest time. Open another one.",
  });
}

export function interrupted(): AppError {
  return new AppError({
    kind: "upstream",
    code: "stream_interrupted",
    publicMessage:
      "The model's provider broke off in the middle of the session. You are charged for what was delivered, at most.",
  });
}

export function revokedMidway(): AppError {
  return new AppError({
    kind: "unauthenticated",
    code: "key_revoked",
    publicMessage: "This API key was revoked while the session was running. You are charged for what was delivered.",
  });
}

export function stopping(): AppError {
  return new AppError({
    kind: "unavailable",
    code: "overloaded",
    publicMessage: "This gateway is being stopped. Open another session; another gateway takes it.",
    retryAfterSeconds: 1,
  });
}

export function tooManyResponses(most: number): AppError {
  return new AppError({
    kind: "rate_limited",
    code: "concurrent_requests_exceeded",
    publicMessage: `A session may have ${String(most)} responses at a time. Wait until one of them is done.`,
    retryAfterSeconds: 1,
  });
}

export function clientLeft(): AppError {
  return new AppError({ kind: "invalid", code: "client_closed_request", publicMessage: "The client left." });
}

export function notText(): AppError {
  return new AppError({
    kind: "invalid",
    code: "invalid_request",
    publicMessage: "Events are JSON in text messages; sound goes in them as base64.",
  });
}
