import { countTokens, messages } from "../anthropic/messages.ts";
import type { DemoUpstreamConfig } from "../config.ts";
import type { FlakyCounter } from "../flaky.ts";
import type { Journal } from "../journal.ts";
import { chatCompletions } from "../openai/chat.ts";
import { completions } from "../openai/completions.ts";
import { embeddings } from "../openai/embeddings.ts";
import { imageEdits, images } from "../openai/images.ts";
import { moderations } from "../openai/moderations.ts";
import { rerank } from "../openai/rerank.ts";
import { responses } from "../openai/responses.ts";
import { speech } from "../openai/speech.ts";
import { transcriptions } from "../openai/transcriptions.ts";
import { requireCredential } from "./auth.ts";
import { readAny } from "./body.ts";
import type { Handler } from "./context.ts";
import { ApiError, errorBody, type Dialect } from "./errors.ts";
import { Gone, type Exchange } from "./exchange.ts";
import { journalPage } from "./journal-page.ts";
import { modelList, modelOne } from "./models-list.ts";

const posts: Readonly<Record<string, Handler>> = {
  "/v1/chat/completions": chatCompletions,
  "/v1/responses": responses,
  "/v1/completions": completions,
  "/v1/embeddings": embeddings,
  "/v1/moderations": moderations,
  "/v1/rerank": rerank,
  "/v1/images/generations": images,
  "/v1/images/edits": imageEdits,
  "/v1/audio/speech": speech,
  "/v1/audio/transcriptions": transcriptions,
  "/v1/audio/translations": transcriptions,
  "/v1/messages": messages,
  "/v1/messages/count_tokens": countTokens,
};

export interface RouterDeps {
  readonly config: DemoUpstreamConfig;
  readonly journal: Journal;
  readonly flaky: FlakyCounter;
}

/** Paths tell the dialect; the list of models serves both, so there the version header does. */
function dialectOf({ url, req }: Exchange): Dialect {
  if (url.pathname.startsWith("/v1/messages")) return "anthropic";
  return url.pathname.startsWith("/v1/models") && req.headers["anthropic-version"] !== undefined
    ? "anthropic"
    : "openai";
}

/** Answers one request, whatever happens; never rejects. */
export async function handle(exchange: Exchange, deps: RouterDeps): Promise<void> {
  try {
    await route(exchange, deps);
  } catch (error) {
    if (error instanceof Gone || exchange.signal.aborted) return;
    await refuse(exchange, error);
  }
}

async function route(exchange: Exchange, { config, journal, flaky }: RouterDeps): Promise<void> {
  const { pathname } = exchange.url;
  const method = exchange.req.method ?? "";
  if (pathname.startsWith("/_demo/")) {
    // Whoever runs the demo without a key on its own machine reads the journal without one.
    if (config.key !== undefined) requireCredential(exchange.req.headers, config.key, "openai");
    if (pathname === "/_demo/journal" && method === "GET") return journalPage(exchange, journal);
    throw unknownUrl(method, pathname);
  }
  requireCredential(exchange.req.headers, config.key, dialectOf(exchange));
  const context = { config, exchange, flaky, body: undefined };
  if (pathname === "/v1/models" || pathname.startsWith("/v1/models/")) {
    if (method !== "GET") throw wrongMethod(method, pathname, "GET");
    return pathname === "/v1/models" ? modelList(context) : modelOne(context);
  }
  const post = Object.hasOwn(posts, pathname) ? posts[pathname] : undefined;
  if (!post) throw unknownUrl(method, pathname);
  if (method !== "POST") throw wrongMethod(method, pathname, "POST");
  return post({ ...context, body: await readAny(exchange.req, config.bodyBytesMax) });
}

function unknownUrl(method: string, path: string): ApiError {
  return new ApiError({ status: 404, message: `Invalid URL (${method} ${path})`, code: "unknown_url" });
}

function wrongMethod(method: string, path: string, allow: string): ApiError {
  return new ApiError({ status: 405, message: `Not allowed to ${method} on ${path}`, headers: { allow } });
}

async function refuse(exchange: Exchange, thrown: unknown): Promise<void> {
  if (exchange.res.headersSent) {
    exchange.breakOff(false);
    return;
  }
  const error =
    thrown instanceof ApiError ? thrown : new ApiError({ status: 500, message: "The demo upstream has a defect." });
  const body = JSON.stringify(errorBody(dialectOf(exchange), error, exchange.requestId));
  exchange.res.writeHead(error.status, { "content-type": "application/json", ...error.headers });
  try {
    await exchange.end(body);
  } catch {
    // The caller left while being told; the journal says so.
  }
}
