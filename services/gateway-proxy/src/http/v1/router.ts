import { clientIpOf } from "@codex/http/edge";
import { AppError, hashApiKey, newId, toAppError } from "@codex/kernel";
import { clientNameOf } from "../../domain/client-name.ts";
import { nearestNames } from "../../domain/nearest.ts";
import type { IncomingMessage, ServerResponse } from "node:http";
import type { ResolvedKey } from "../../app/key-cache.ts";
import { chatEndpoint } from "../../domain/endpoints/chat.ts";
import { completionsEndpoint } from "../../domain/endpoints/completions.ts";
import { imageEditsEndpoint, imagesEndpoint } from "../../domain/endpoints/images.ts";
import { messagesEndpoint } from "../../domain/endpoints/messages.ts";
import { responsesEndpoint } from "../../domain/endpoints/responses.ts";
import { speechEndpoint } from "../../domain/endpoints/speech.ts";
import { transcriptionsEndpoint, translationsEndpoint } from "../../domain/endpoints/transcriptions.ts";
import { embeddingsEndpoint, moderationsEndpoint, rerankEndpoint } from "../../domain/endpoints/vectors.ts";
import type { Dialect, Endpoint, ParsedRequest } from "../../domain/endpoint.ts";
import type { GatewayParts, KeyContext, RequestFacts, V1Context } from "./context.ts";
import { countTokens } from "./count-tokens.ts";
import { serveEndpoint } from "./engine.ts";
import { sendJson } from "./send-json.ts";
import { Cancellation } from "../../upstream/cancellation.ts";
import { answerUpgradeRequired, realtimePath } from "./upgrade.ts";
import { readApiKey } from "./credentials.ts";
import { renderError, sendError } from "./errors.ts";
import { credits, generation, keyInfo } from "./account.ts";
import { answerKeyReport, keyReportPath } from "./key-report.ts";
import { LimitGate } from "./limit-gate.ts";
import { listAnthropicModels, listModels, oneAnthropicModel, oneModel } from "./models.ts";

/**
 * The handler of /v1, directly on node:http: Express costs a second floor on this path (docs/adr/0002). Every route is in
 * the table; what is not in it cannot be served.
 */

type V1Handler = (parts: GatewayParts, context: KeyContext, rest: string) => Promise<void> | void;

interface V1Route {
  readonly method: "GET" | "POST";
  /** Ends in "/" when the rest of the path is the argument. */
  readonly path: string;
  readonly handle: V1Handler;
  /** The handler asks the limits itself, when it knows what the request is thought to use. */
  readonly takesLimits?: true;
}

export const v1Routes: readonly V1Route[] = [
  charged(chatEndpoint),
  charged(responsesEndpoint),
  charged(messagesEndpoint),
  { method: "POST", path: "/v1/messages/count_tokens", handle: countTokens },
  charged(completionsEndpoint),
  charged(embeddingsEndpoint),
  charged(moderationsEndpoint),
  charged(rerankEndpoint),
  charged(imagesEndpoint),
  charged(imageEditsEndpoint),
  charged(speechEndpoint),
  charged(transcriptionsEndpoint),
  charged(translationsEndpoint),
  { method: "GET", path: "/v1/models", handle: models },
  { method: "GET", path: "/v1/models/", handle: model },
  { method: "GET", path: "/v1/key", handle: keyInfo },
  { method: "GET", path: "/v1/credits", handle: credits },
  { method: "GET", path: "/v1/generation", handle: generation },
];

/** By their whole path; those whose path has an argument apart. */
const exactRoutes = Map.groupBy(
  v1Routes.filter(({ path }) => !path.endsWith("/")),
  ({ path }) => path,
);
const prefixRoutes = v1Routes.filter(({ path }) => path.endsWith("/"));

const withoutV1: ReadonlySet<string> = new Set(v1Routes.map(({ path }) => path.slice("/v1".length).replace(/\/$/, "")));

function charged<R extends ParsedRequest>(endpoint: Endpoint<R>): V1Route {
  return {
    method: "POST",
    path: endpoint.path,
    handle: (parts, context) => serveEndpoint(endpoint, parts, context),
    takesLimits: true,
  };
}

/** Claude Code asks for the list of models too, in its own form and with pages. */
function models({ catalogue }: GatewayParts, context: KeyContext): void {
  const { key } = context;
  if (dialectOf(context.req) === "openai") {
    sendJson(context, listModels(catalogue, key.models));
    return;
  }
  const query = new URLSearchParams(context.req.url?.split("?")[1] ?? "");
  sendJson(context, listAnthropicModels(catalogue, query, key.models));
}

function model(parts: GatewayParts, context: KeyContext, rest: string): void {
  const one = dialectOf(context.req) === "openai" ? oneModel : oneAnthropicModel;
  sendJson(context, one(parts.catalogue, decode(rest), context.key.models));
}

/** The path tells how errors are written; the lists of models serve both kinds of client, and there the version header does. */
function dialectOf(req: IncomingMessage): Dialect {
  if (/^(\/v1)*\/messages(\/|$)/.test(pathOf(req.url ?? ""))) return "anthropic";
  return req.headers["anthropic-version"] === undefined ? "openai" : "anthropic";
}

/** Paths of this API, and those that would be if the client's base URL had its /v1: they get an error that says so. */
export function isV1(url: string): boolean {
  const path = pathOf(url);
  return path === "/v1" || path.startsWith("/v1/") || withoutV1.has(path);
}

/** What clients ask to see whether somebody is there: Claude Code HEAD /api/hello, others HEAD / (clients.md §1). */
export function isProbe({ method, url }: IncomingMessage): boolean {
  const path = pathOf(url ?? "");
  return method === "HEAD" && (path === "/" || path === "/api/hello");
}

const pathOf = (url: string): string => url.split("?")[0] ?? "";

export function createV1Handler(parts: GatewayParts): (req: IncomingMessage, res: ServerResponse) => void {
  return (req, res) => {
    void serve(parts, req, res);
  };
}

/** Never rejects. */
async function serve(parts: GatewayParts, req: IncomingMessage, res: ServerResponse): Promise<void> {
  const startedMs = parts.clock.monotonicMs();
  const context = createContext(req, res);
  let accepted: KeyContext | undefined;
  try {
    const isReport = pathOf(req.url ?? "") === keyReportPath;
    if (isReport) await answerKeyReport(parts.keyReports, context, clientAddressOf(parts, req));
    const route = isReport ? undefined : findRoute(context);
    if (route) {
      accepted = await acceptKey(parts, context);
      await dispatch(parts, accepted, route);
    }
  } catch (thrown) {
    answerFailure(parts, context, accepted ? await countFailure(accepted, thrown) : thrown);
  }
  await accepted?.limits.end();
  const { facts } = context;
  if (facts.status === 0) facts.status = res.statusCode;
  parts.events.requestEnded({
    ...facts,
    requestId: context.requestId,
    durationMs: parts.clock.monotonicMs() - startedMs,
  });
}

function answerFailure(
  parts: GatewayParts,
  { req, res, requestId, facts, clientGone }: V1Context,
  thrown: unknown,
): void {
  if (clientGone.aborted) {
    // Left while still sending its request: there is nobody to answer, and nothing failed on our side.
    facts.status = 499;
    facts.code = "client_closed_request";
    res.destroy();
    return;
  }
  const error = toAppError(thrown);
  facts.code = error.code;
  if (error.kind === "internal") parts.logger.error("request failed", { requestId, error: thrown });
  if (res.headersSent) res.destroy();
  else sendError(req, res, renderError(dialectOf(req), error, requestId));
}

function createContext(req: IncomingMessage, res: ServerResponse): V1Context {
  const requestId = newId("req");
  res.setHeader("x-request-id", requestId);
  res.setHeader("request-id", requestId);
  res.setHeader("x-content-type-options", "nosniff");
  const clientGone = new Cancellation();
  res.once("close", () => {
    if (!res.writableFinished) clientGone.abort(new Error("the client has left"));
  });
  const facts: RequestFacts = {
    status: 0,
    route: "unmatched",
    model: undefined,
    code: undefined,
    accountId: undefined,
    keyId: undefined,
    costMicroTokens: undefined,
  };
  let keyHash: string | undefined;
  return {
    req,
    res,
    requestId,
    clientGone,
    facts,
    keyHash: () => (keyHash ??= hashApiKey(readApiKey(req))),
  };
}

/** Undefined: it is answered already. Throws AppError for what is not served. */
function findRoute(context: V1Context): V1Route | undefined {
  const path = pathOf(context.req.url ?? "");
  if (path === realtimePath && context.req.method === "GET") {
    answerUpgradeRequired(context);
    return undefined;
  }
  const matches =
    exactRoutes.get(path) ??
    prefixRoutes.filter((route) => path.startsWith(route.path) && path.length > route.path.length);
  if (matches.length === 0) throw unknownRoute(path);
  if (path === "/v1/responses" && context.req.method === "GET") {
    answerUpgradeRequired(context);
    return undefined;
  }
  const route = matches.find((candidate) => candidate.method === context.req.method);
  if (!route) throw wrongMethod(context, matches);
  context.facts.route = route.path;
  return route;
}

/**
 * Whose request it is. What is refused here counts for no limit of the key: else whoever found a key that may not be used
 * from his address could use up the limits of those who may.
 */
async function acceptKey(parts: GatewayParts, context: V1Context): Promise<KeyContext> {
  const { req, res, requestId, facts } = context;
  if (!parts.catalogue.priced) throw starting();
  const key = await parts.keys.authenticate(readApiKey(req), () => clientAddressOf(parts, req));
  facts.accountId = key.accountId;
  facts.keyId = key.keyId;
  checkAddress(parts, req, key);
  parts.keyUses.add(key.keyId, () => clientNameOf(req.headers["user-agent"]));
  const { limiter, clock } = parts;
  const limited = limiter.limitedOf(key);
  const limits = new LimitGate({ limiter, limited, requestId, dialect: dialectOf(req), res, clock });
  return { ...context, key, limits };
}

/** Behind the trusted proxies. */
export function clientAddressOf({ trustedProxyCount }: GatewayParts, req: IncomingMessage): string {
  const forwardedFor = req.headers["x-forwarded-for"];
  return clientIpOf(req.socket.remoteAddress, forwardedFor?.toString(), trustedProxyCount);
}

/** Throws AppError `key_not_allowed` for an address that the key's list does not hold. */
export function checkAddress(parts: GatewayParts, req: IncomingMessage, { addresses }: ResolvedKey): void {
  if (!addresses) return;
  const address = clientAddressOf(parts, req);
  if (addresses.has(address)) return;
  throw new AppError({
    kind: "forbidden",
    code: "key_not_allowed",
    publicMessage: `This API key may not be used from ${address}. Its owner can change that in the dashboard under Keys.`,
  });
}

async function dispatch(parts: GatewayParts, context: KeyContext, route: V1Route): Promise<void> {
  const { limits, req } = context;
  limits.refuseKnown();
  if (!route.takesLimits) await limits.take(0, req.method === "POST");
  await route.handle(parts, context, pathOf(req.url ?? "").slice(route.path.length));
}

/** A request that failed before the limits were asked counts too, and its answer says what is left. The error to answer with. */
async function countFailure({ limits }: KeyContext, thrown: unknown): Promise<unknown> {
  if (limits.asked) return thrown;
  try {
    await limits.take(0, false);
    return thrown;
  } catch (refusal) {
    return refusal;
  }
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

function unknownRoute(path: string): AppError {
  return new AppError({
    kind: "not_found",
    code: "route_not_found",
    publicMessage: `This URL does not exist here. ${hintFor(path)}`,
  });
}

/** The commonest mistakes are of the base URL: OpenAI's clients want it with /v1, Anthropic's without. */
function hintFor(path: string): string {
  if (path.startsWith("/v1/v1")) {
    const anthropic = path.startsWith("/v1/v1/messages")
      ? " Anthropic's clients and Claude Code add /v1 by themselves."
      : "";
    return `The path begins with /v1 twice: remove /v1 from the base URL of your client.${anthropic}`;
  }
  if (withoutV1.has(path))
    return `The path lacks /v1: the base URL of OpenAI's clients ends in /v1, as in POST /v1${path}.`;
  const near = nearestNames(path, [...new Set(v1Routes.map((route) => route.path))]);
  if (near.length > 0) return `Did you mean ${near.join(", ")}?`;
  return `There is: ${v1Routes.map((route) => `${route.method} ${route.path}`).join(", ")}.`;
}

function wrongMethod(context: V1Context, matches: readonly V1Route[]): AppError {
  const allowed = matches.map((route) => route.method).join(", ");
  context.res.setHeader("allow", allowed);
  return new AppError({
    kind: "method_not_allowed",
    code: "method_not_allowed",
    publicMessage: `Use ${allowed} for this URL.`,
  });
}

/** While no price book has arrived. */
export function starting(): AppError {
  return new AppError({
    kind: "unavailable",
    code: "service_unavailable",
    publicMessage: "The gateway is starting. Please try again in a moment.",
    retryAfterSeconds: 1,
  });
}
