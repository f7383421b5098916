/** Errors as the two providers write them, so that a client's own parser meets what it meets in production. */

export type Dialect = "openai" | "anthropic";

export interface ApiErrorInit {
  readonly status: number;
  readonly message: string;
  /** OpenAI's `code`; null when it gives none. */
  readonly code?: string | null;
  /** OpenAI's `param`: the field at fault. */
  readonly param?: string | null;
  readonly headers?: Readonly<Record<string, string>>;
}

/** Thrown by a handler before the first byte of an answer; rendered in the caller's dialect. */
export class ApiError extends Error {
  override readonly name = "ApiError";
  readonly status: number;
  readonly code: string | null;
  readonly param: string | null;
  readonly headers: Readonly<Record<string, string>>;

  constructor(init: ApiErrorInit) {
    super(init.message);
    this.status = init.status;
    this.code = init.code ?? null;
    this.param = init.param ?? null;
    this.headers = init.headers ?? {};
  }
}

export function invalidRequest(message: string, param: string | null = null): ApiError {
  return new ApiError({ status: 400, message, param });
}

export function modelNotFound(model: string): ApiError {
  return new ApiError({
    status: 404,
    message: `The model \`${model}\` does not exist or you do not have access to it.`,
    code: "model_not_found",
  });
}

/** The body of an error, without the status. */
export function errorBody(dialect: Dialect, error: ApiError, requestId: string): Readonly<Record<string, unknown>> {
  if (dialect === "anthropic") {
    return {
      type: "error",
      error: { type: anthropicType(error.status), message: error.message },
      request_id: requestId,
    };
  }
  return {
    error: { message: error.message, type: openAiType(error.status), param: error.param, code: error.code },
  };
}

function openAiType(status: number): string {
  if (status === 429) return "requests";
  if (status === 402) return "insufficient_quota";
  return status >= 500 ? "server_error" : "invalid_request_error";
}

// platform.claude.com/docs/en/api/errors, 2026-11.
const anthropicTypes: Readonly<Record<number, string>> = {
  401: "authentication_error",
  402: "billing_error",
  403: "permission_error",
  404: "not_found_error",
  413: "request_too_large",
  429: "rate_limit_error",
  504: "timeout_error",
  529: "overloaded_error",
};

function anthropicType(status: number): string {
  return anthropicTypes[status] ?? (status >= 500 ? "api_error" : "invalid_request_error");
}

/** The error of `demo-error-<status>`. */
export function scriptedError(model: string, status: number, retryAfterSeconds: number | undefined): ApiError {
  return new ApiError({
    status,
    message: `Scripted failure: the demo model ${model} always answers ${status}.`,
    code: scriptedCodes[status] ?? null,
    headers: retryAfterSeconds === undefined ? {} : { "retry-after": String(retryAfterSeconds) },
  });
}

const scriptedCodes: Readonly<Record<number, string>> = {
  401: "invalid_api_key",
  402: "insufficient_quota",
  404: "model_not_found",
  429: "rate_limit_exceeded",
};
