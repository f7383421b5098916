import type { ChannelSnapshot } from "@codex/contracts";
import { AppError } from "@codex/kernel";
import { Agent, type Dispatcher } from "undici";
import type { Operation } from "../domain/operation.ts";

/**
 * One call to an OpenAI-compatible upstream. The request is built, never copied: nothing of the client's headers goes
 * out (SEC-84), and of the upstream's headers nothing comes back (SEC-85).
 */

const paths: Partial<Record<Operation, string>> = {
  chat: "/chat/completions",
  responses: "/responses",
  messages: "/messages",
  countTokens: "/messages/count_tokens",
  completions: "/completions",
  embeddings: "/embeddings",
  moderations: "/moderations",
  rerank: "/rerank",
  images: "/images/generations",
  imageEdits: "/images/edits",
  speech: "/audio/speech",
  transcriptions: "/audio/transcriptions",
  translations: "/audio/translations",
};

/** Whether a channel of this kind takes the operation as it is. */
export function speaks(kind: ChannelSnapshot["kind"], operation: Operation): boolean {
  if (kind === "demo") return paths[operation] !== undefined;
  return !["messages", "countTokens", "rerank", "generateContent"].includes(operation);
}

/** Throws when the upstream does not know the operation. */
export function pathOf(operation: Operation): string {
  const path = paths[operation];
  if (path === undefined) throw new Error(`no path for ${operation}`);
  return path;
}

export interface UpstreamCall {
  readonly baseUrl: string;
  readonly secret: string | undefined;
  /** Below the base URL. */
  readonly path: string;
  readonly body: string | Uint8Array;
  readonly contentType: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly stream: boolean;
  readonly requestId: string;
  readonly signal: AbortSignal;
}

export interface UpstreamResponse {
  readonly status: number;
  readonly contentType: string;
  readonly retryAfterSeconds: number | undefined;
  readonly body: Dispatcher.ResponseData["body"];
}

export interface UpstreamClientOptions {
  /** From the request's last byte to the answer's headers. */
  readonly firstByteTimeoutMs: number;
  /** Between two pieces of the answer. */
  readonly betweenBytesTimeoutMs: number;
  readonly connectTimeoutMs: number;
  readonly connectionsMax: number;
}

export class UpstreamClient {
  private readonly agent: Agent;

  constructor(options: UpstreamClientOptions) {
    this.agent = new Agent({
      connections: options.connectionsMax,
      pipelining: 1,
      headersTimeout: options.firstByteTimeoutMs,
      bodyTimeout: options.betweenBytesTimeoutMs,
      connect: { timeout: options.connectTimeoutMs },
      keepAliveTimeout: 30_000,
      maxHeaderSize: 32_768,
    });
  }

  /** Rejects with AppError `upstream_unavailable` or `upstream_timeout`, or with the abort reason of `signal`. */
  async call(call: UpstreamCall): Promise<UpstreamResponse> {
    const headers: Record<string, string> = {
      ...call.headers,
      "content-type": call.contentType,
      accept: call.stream ? "text/event-stream" : "application/json",
      "user-agent": "codex-api-gateway",
      "x-request-id": call.requestId,
    };
    if (call.secret !== undefined) headers["authorization"] = `Bearer ${call.secret}`;
    try {
      const answer = await this.agent.request({
        origin: new URL(call.baseUrl).origin,
        path: new URL(call.baseUrl).pathname.replace(/\/$/, "") + call.path,
        method: "POST",
        headers,
        body: call.body,
        signal: call.signal,
      });
      return {
        status: answer.statusCode,
        contentType: headerText(answer.headers["content-type"]),
        retryAfterSeconds: wholeSeconds(headerText(answer.headers["retry-after"])),
        body: answer.body,
      };
    } catch (error) {
      if (call.signal.aborted) throw error;
      throw transportFailure(error) ?? unreachable(error);
    }
  }

  async close(): Promise<void> {
    await this.agent.destroy();
  }
}

function headerText(value: string | string[] | undefined): string {
  return typeof value === "string" ? value : (value?.[0] ?? "");
}

function wholeSeconds(text: string): number | undefined {
  return /^\d{1,5}$/.test(text) ? Number.parseInt(text, 10) : undefined;
}

/**
 * The client's error for what the connection to an upstream throws, also in the middle of an answer of which nothing was
 * passed on; undefined for any other error, which is a defect of ours.
 */
export function transportFailure(error: unknown): AppError | undefined {
  const code = error instanceof Error && "code" in error ? String(error.code) : "";
  if (code === "UND_ERR_HEADERS_TIMEOUT" || code === "UND_ERR_BODY_TIMEOUT") {
    return new AppError({
      kind: "timeout",
      code: "upstream_timeout",
      publicMessage: "The model's provider did not answer in time. You were not charged. Please try again.",
      cause: error,
      retryAfterSeconds: 1,
    });
  }
  return /^(UND_ERR_|HPE_|E[A-Z]+$)/.test(code) ? unreachable(error) : undefined;
}

function unreachable(error: unknown): AppError {
  return new AppError({
    kind: "unavailable",
    code: "upstream_unavailable",
    publicMessage: "The model's provider cannot be reached at the moment. You were not charged. Please try again.",
    cause: error,
    retryAfterSeconds: 1,
  });
}

/**
 * The client's error for a refusal of the upstream. Its text is never passed on: it may quote the prompt or name our
 * account. Our own key being refused or out of money is our outage, not the client's mistake (clients.md §3).
 */
export function errorOfStatus(status: number, retryAfterSeconds: number | undefined): AppError {
  if (status === 429) {
    return new AppError({
      kind: "rate_limited",
      code: "upstream_rate_limited",
      publicMessage:
        "The model's provider is limiting requests at the moment. You were not charged. Please try again shortly.",
      retryAfterSeconds: Math.max(1, Math.min(retryAfterSeconds ?? 1, 60)),
      detail: { upstreamStatus: status },
    });
  }
  if (status === 400 || status === 413 || status === 422) {
    return new AppError({
      kind: "invalid",
      code: "upstream_rejected",
      publicMessage:
        "The model's provider refused this request as invalid. You were not charged. Check the parameters against what the model supports.",
      detail: { upstreamStatus: status },
    });
  }
  if (status === 503 || status === 529) {
    return new AppError({
      kind: "unavailable",
      code: "upstream_unavailable",
      publicMessage: "The model's provider is overloaded at the moment. You were not charged. Please try again.",
      retryAfterSeconds: Math.max(1, Math.min(retryAfterSeconds ?? 1, 60)),
      detail: { upstreamStatus: status },
    });
  }
  return new AppError({
    kind: "upstream",
    code: "upstream_error",
    publicMessage: "The model's provider failed to answer this request. You were not charged. Please try again.",
    detail: { upstreamStatus: status },
  });
}
