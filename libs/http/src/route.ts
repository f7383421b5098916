import type { Role } from "@codex/contracts";
import type { RequestId } from "@codex/kernel";
import type express from "express";
import { z } from "zod";
import type { SetCookie } from "./cookies.ts";
import { appError, findError, InvalidRequestError, notFound } from "./error-catalogue.ts";
import { pointerOf } from "./json.ts";
import type { Principal } from "./session.ts";
import { strictnessProblem } from "./strictness.ts";

/**
 * Glossary
 *   route     one operation, declared once with everything that guards it (SEC-01). What is not declared is not served.
 *   auth      public: anybody; session: who is signed in; operator: who is signed in with one of `roles`;
 *             internal: our own programs, by the authorizer given to createHttpApp
 *   owner     account: the handler filters by `principal.accountId`, and what is foreign is a 404 like what is missing
 */

export type AuthClass = "public" | "session" | "operator" | "internal";
export type OwnerCheck = "none" | "account";
export type RateClass = "none" | "read" | "write" | "credential";
export type LogClass = "standard" | "quiet";
export type Method = "GET" | "POST" | "PUT" | "PATCH" | "DELETE";

/** The most any route of the control plane may take (SEC-86). */
export const bodyLimitBytesMax = 262_144;

export type PrincipalOf<A extends AuthClass> = A extends "session" | "operator" ? Principal : null;

/** A part of the request that is not declared: it must be empty. */
export type NoFields = z.ZodType<Record<string, never>>;

export interface HandlerContext<
  Params = Record<string, never>,
  Query = Record<string, never>,
  Body = Record<string, never>,
  A extends AuthClass = AuthClass,
> {
  readonly params: Params;
  readonly query: Query;
  readonly body: Body;
  /** Non-null on session and operator routes. */
  readonly principal: PrincipalOf<A>;
  readonly requestId: RequestId;
  /** Of a route with `idempotent`, 8 to 128 characters; "" on others. */
  readonly idempotencyKey: string;
  /** Aborts when the client goes away before it is answered. */
  readonly signal: AbortSignal;
  readonly req: express.Request;
  readonly cookies: Readonly<Record<string, string>>;
  /** By the trusted proxy count; "unknown" when the socket has gone. */
  readonly clientIp: string;
}

export interface Reply {
  /** One of the declared statuses. */
  readonly status: number;
  /** Encoded with the schema declared for the status: codecs give their wire form, undeclared fields are an error. */
  readonly body?: unknown;
  /** Text of the media type that the route declares for the status, whole or in pieces; instead of `body`. */
  readonly content?: string | AsyncIterable<string>;
  readonly headers?: Readonly<Record<string, string>>;
  readonly cookies?: readonly SetCookie[];
}

interface RouteFacts<A extends AuthClass> {
  /** Unique within a service; camelCase verb first: "listKeys". */
  readonly operationId: string;
  readonly method: Method;
  /** Literal segments and `:name` parameters only. */
  readonly path: string;
  readonly summary: string;
  readonly auth: A;
  /** Operator routes only; without it only `admin`. `user` is never an operator. */
  readonly roles?: readonly Role[];
  readonly owner: OwnerCheck;
  /** Asks for a proof of who it is that is at most five minutes old, else `reauth_required` (SEC-24). */
  readonly freshProof?: true;
  /** Open to an operator who has no second factor yet: the way to one, and out (SEC-25). Session routes only. */
  readonly enrolment?: true;
  /** `credential` also asks for the CSRF header on a public route: signing in is an action of a page. */
  readonly rateClass: RateClass;
  /** The header `Idempotency-Key` is required; the handler keeps and replays the answer. Scope it by the principal. */
  readonly idempotent?: true;
  /** 0 to 262144. */
  readonly bodyLimitBytes: number;
  /** Quiet routes log refusals and failures only. */
  readonly logClass: LogClass;
  /** What the handler may answer; null = no body. */
  readonly responses: Readonly<Record<number, z.ZodType | null>>;
  /** Statuses whose answer is not JSON: the content type. Their schema is null. */
  readonly media?: Readonly<Record<number, string>>;
  /** Codes the handler may throw, all of them in the error catalogue. Codes of the guards need no declaration. */
  readonly errors: readonly string[];
}

export interface RouteDef<
  A extends AuthClass,
  P extends z.ZodType,
  Q extends z.ZodType,
  B extends z.ZodType,
> extends RouteFacts<A> {
  /** Strict objects. A wrong path parameter is a 404: no object has such an id. */
  readonly request: { readonly params?: P; readonly query?: Q; readonly body?: B };
  handler(ctx: HandlerContext<z.output<P>, z.output<Q>, z.output<B>, A>): Promise<Reply>;
}

/** What the pipeline hands to a route; the route parses it. */
export interface RouteInput {
  readonly params: unknown;
  readonly query: unknown;
  /** Called after params and query are found good; undefined when the request has no body. */
  readBody(): Promise<unknown>;
  readonly principal: Principal | null;
  readonly requestId: RequestId;
  readonly signal: AbortSignal;
  readonly req: express.Request;
  readonly cookies: Readonly<Record<string, string>>;
  readonly clientIp: string;
}

/** A declared route with its types erased, as the registry holds it. */
export interface Route extends RouteFacts<AuthClass> {
  readonly request: { readonly params?: z.ZodType; readonly query?: z.ZodType; readonly body?: z.ZodType };
  /** Parses the input, then runs the handler. Throws InvalidRequestError, `not_found`, or what the handler throws. */
  run(input: RouteInput): Promise<Reply>;
}

const emptyObject = z.strictObject({});
const fieldErrorsMax = 20;

function messageOf(issue: z.core.$ZodIssue): string {
  return issue.message.replace(/^Invalid input: /, "").slice(0, 200);
}

/** Zod's findings as pointers. Values are never repeated; the name of an unknown field stands in its pointer only. */
function fieldErrorsOf(error: z.ZodError, prefix: string): { pointer: string; message: string }[] {
  return error.issues
    .flatMap((issue) =>
      issue.code === "unrecognized_keys"
        ? issue.keys.map((key) => ({ path: [...issue.path, key], message: "unknown field" }))
        : [{ path: issue.path, message: messageOf(issue) }],
    )
    .slice(0, fieldErrorsMax)
    .map(({ path, message }) => ({ pointer: pointerOf(path).slice(0, 256), message: `${prefix}${message}` }));
}

function parsePart<S extends z.ZodType>(schema: S | undefined, value: unknown, prefix: string): z.output<S> {
  // A part without schema has the type Record<string, never>, which is what emptyObject gives.
  const parsed = (schema ?? emptyObject).safeParse(value);
  if (!parsed.success) throw new InvalidRequestError(fieldErrorsOf(parsed.error, prefix));
  return parsed.data as z.output<S>;
}

function parseParams<S extends z.ZodType>(schema: S | undefined, value: unknown): z.output<S> {
  const parsed = (schema ?? emptyObject).safeParse(value);
  if (!parsed.success) throw notFound();
  return parsed.data as z.output<S>;
}

/** Of the draft of RFC "The Idempotency-Key HTTP Header Field"; lower case, as node gives it. */
export const idempotencyKeyHeader = "idempotency-key";
/** What a client may send: visible ASCII, so that logs and databases hold it as it came. */
export const idempotencyKeyPattern = /^[\x21-\x7e]{8,128}$/;

function idempotencyKeyOf(req: express.Request): string {
  const value = req.headers[idempotencyKeyHeader];
  if (typeof value === "string" && idempotencyKeyPattern.test(value)) return value;
  throw appError("invalid_request", "The header Idempotency-Key is required: 8 to 128 visible ASCII characters.");
}

/** A `:parameter` of a path; the group is its name. */
export const pathParamPattern = /:([A-Za-z][A-Za-z0-9]*)/g;

function pathParams(path: string): string[] {
  return [...path.matchAll(pathParamPattern)].map((match) => match[1] ?? "");
}

function problemsOf(route: Omit<Route, "run">): string[] {
  const problems: string[] = [];
  const declared = route.request.params instanceof z.ZodObject ? Object.keys(route.request.params.shape) : [];
  if (!/^(\/(:[A-Za-z][A-Za-z0-9]*|[A-Za-z0-9._-]+))+$/.test(route.path))
    problems.push(`path ${route.path} is not plain`);
  if (pathParams(route.path).toSorted().join() !== declared.toSorted().join()) {
    problems.push("the path's parameters and request.params differ");
  }
  if (!(route.bodyLimitBytes >= 0 && route.bodyLimitBytes <= bodyLimitBytesMax))
    problems.push("bodyLimitBytes is out of bounds");
  if (route.request.body && route.method === "GET") problems.push("a GET takes no body");
  if (route.request.body && route.bodyLimitBytes === 0) problems.push("bodyLimitBytes leaves no room for the body");
  if (route.owner === "account" && route.auth !== "session" && route.auth !== "operator") {
    problems.push("an owner check needs a principal");
  }
  if (route.idempotent && !isUnsafe(route.method)) problems.push("a GET is idempotent by itself");
  if (route.freshProof && route.auth !== "session" && route.auth !== "operator") {
    problems.push("a fresh proof needs a principal");
  }
  if (route.enrolment && route.auth !== "session") problems.push("enrolment belongs to session routes");
  if (route.roles && route.auth !== "operator") problems.push("roles belong to operator routes");
  if (route.roles?.includes("user") || route.roles?.length === 0) problems.push("operator roles must name operators");
  for (const status of Object.keys(route.media ?? {})) {
    if (route.responses[Number(status)] !== null) problems.push(`status ${status} has a media type and a schema`);
  }
  for (const code of route.errors) {
    if (!findError(code)) problems.push(`code ${code} is not in libs/http/src/error-catalogue.ts`);
  }
  for (const [part, schema] of Object.entries(route.request)) {
    const problem = strictnessProblem(schema);
    if (problem !== undefined) problems.push(`request.${part}${problem}`);
  }
  return problems;
}

/**
 * Declares a route; the types of params, query, body and principal flow into the handler. Throws when the declaration
 * contradicts itself: a path parameter without schema, an object that is not strict, a code that is not catalogued.
 */
export function defineRoute<
  const A extends AuthClass,
  P extends z.ZodType = NoFields,
  Q extends z.ZodType = NoFields,
  B extends z.ZodType = NoFields,
>(def: RouteDef<A, P, Q, B>): Route {
  const { handler, ...facts } = def;
  const problems = problemsOf(facts);
  if (problems.length > 0) throw new Error(`route ${def.operationId}: ${problems.join("; ")}`);
  return {
    ...facts,
    async run(input) {
      const params = parseParams(def.request.params, input.params);
      const query = parsePart(def.request.query, input.query, "query parameter: ");
      const idempotencyKey = def.idempotent ? idempotencyKeyOf(input.req) : "";
      const raw = await input.readBody();
      // A route without body schema takes none; an empty object is what some clients send instead.
      const body = parsePart(def.request.body, raw === undefined && !def.request.body ? {} : raw, "");
      return handler({
        params,
        query,
        body,
        // The pipeline has checked that session and operator routes have one; the type cannot say so.
        principal: input.principal as PrincipalOf<A>,
        requestId: input.requestId,
        idempotencyKey,
        signal: input.signal,
        req: input.req,
        cookies: input.cookies,
        clientIp: input.clientIp,
      });
    },
  };
}

export function isUnsafe(method: Method): boolean {
  return method !== "GET";
}

/** Changing requests that a browser sends on its own authority (SEC-22). */
export function needsCsrf(route: Pick<Route, "method" | "auth" | "rateClass">): boolean {
  return (
    isUnsafe(route.method) &&
    (route.auth === "session" || route.auth === "operator" || route.rateClass === "credential")
  );
}

/** The codes that the guards around a route may answer with, beside the declared ones. */
export function guardCodes(route: Omit<Route, "run">): string[] {
  const codes = ["invalid_request", "overloaded", "service_unavailable", "internal_error"];
  if (route.method !== "GET") codes.push("malformed_json", "request_too_large", "unsupported_media_type");
  if (route.auth === "session" || route.auth === "operator") {
    codes.push("session_required");
    if (!route.enrolment) codes.push("second_factor_due");
  }
  if (route.auth === "operator") codes.push("forbidden");
  if (route.freshProof) codes.push("reauth_required");
  if (needsCsrf(route)) codes.push("csrf_rejected");
  if (route.rateClass !== "none") codes.push("rate_limit_exceeded");
  if (route.request.params) codes.push("not_found");
  if (route.idempotent) codes.push("idempotency_key_reused");
  return codes;
}
