import { problem, type Problem } from "@codex/contracts";
import type * as z from "zod";
import { stepUp } from "./step-up.ts";

/** A refusal of a service, as the page handles it: by code, never by text. */
export class ApiError extends Error {
  readonly status: number;
  readonly code: string;
  readonly requestId: string | undefined;
  readonly problem: Problem | undefined;

  constructor(status: number, body: Problem | undefined) {
    super(body?.detail ?? `HTTP ${status}`);
    this.name = "ApiError";
    this.status = status;
    this.code = body?.code ?? (status === 0 ? "network" : "unknown");
    this.requestId = body?.requestId;
    this.problem = body;
  }
}

interface Ask<S extends z.ZodType> {
  readonly method: "GET" | "POST" | "PATCH" | "DELETE";
  readonly path: string;
  readonly body?: unknown;
  /** The answer's schema; absent for 204. */
  readonly response?: S;
}

const timeoutMs = 15_000;

/**
 * One request to our own origin. The session's token lives 15 minutes and is renewed by GET /api/auth/me, so a 401 is
 * tried once more after a renewal; and where the person has to prove who it is, the page asks and the request is sent again.
 * Throws ApiError; an answer that does not fit its schema is an error of ours.
 */
export async function request<S extends z.ZodType>(ask: Ask<S>): Promise<z.output<S>> {
  let reply = await exchange(ask);
  if (reply.error?.status === 401 && !isAboutTheSession(ask, reply.error)) {
    const renewal = await exchange({ method: "GET", path: "/api/auth/me" });
    if (!renewal.error) reply = await exchange(ask);
  }
  if (reply.error?.code === "reauth_required" && (await stepUp())) reply = await exchange(ask);
  if (reply.error) throw reply.error;
  if (!ask.response) return undefined as z.output<S>;
  return ask.response.parse(await reply.response.json());
}

/** Auth renews by itself, and a proof that is missing is no matter of the token's age. */
function isAboutTheSession(ask: Ask<z.ZodType>, error: ApiError): boolean {
  return ask.path.startsWith("/api/auth/") || error.code === "reauth_required";
}

interface Reply {
  readonly response: Response;
  /** The refusal, read. */
  readonly error: ApiError | undefined;
}

async function exchange(ask: Ask<z.ZodType>): Promise<Reply> {
  const response = await send(ask);
  const error = response.ok ? undefined : new ApiError(response.status, await readProblem(response));
  return { response, error };
}

async function send(ask: Ask<z.ZodType>): Promise<Response> {
  try {
    return await fetch(ask.path, {
      method: ask.method,
      credentials: "same-origin",
      signal: AbortSignal.timeout(timeoutMs),
      headers: {
        accept: "application/json",
        // Only a page of our own origin can set it; the services ask for it on everything that changes something.
        "x-cx-csrf": "1",
        ...(ask.body === undefined ? {} : { "content-type": "application/json" }),
      },
      ...(ask.body === undefined ? {} : { body: JSON.stringify(ask.body) }),
    });
  } catch {
    throw new ApiError(0, undefined);
  }
}

async function readProblem(response: Response): Promise<Problem | undefined> {
  const parsed = problem.safeParse(await response.json().catch(() => undefined));
  return parsed.success ? parsed.data : undefined;
}
