import { trace } from "@opentelemetry/api";
import { newId, type AppError, type RequestId } from "@codex/kernel";
import type { IncomingMessage } from "node:http";
import type { Route } from "./route.ts";
import type { Principal } from "./session.ts";

/** The part of the runtime's logger that is used here. */
export interface HttpLogger {
  debug(event: string, fields?: HttpLogFields): void;
  info(event: string, fields?: HttpLogFields): void;
  warn(event: string, fields?: HttpLogFields): void;
  error(event: string, fields?: HttpLogFields): void;
}

export interface HttpLogFields {
  requestId?: string;
  traceId?: string;
  accountId?: string;
  route?: string;
  status?: number;
  code?: string;
  durationMs?: number;
  error?: unknown;
  name?: string;
}

/** What is known about a request while it is served; ends as its one log record. */
export interface RequestState {
  readonly requestId: RequestId;
  readonly startedMs: number;
  readonly traceId: string | undefined;
  route: Route | undefined;
  principal: Principal | null;
  error: AppError | undefined;
}

const states = new WeakMap<IncomingMessage, RequestState>();

/** The state of the request, made when it is asked for first. */
export function stateOf(req: IncomingMessage): RequestState {
  const known = states.get(req);
  if (known) return known;
  const state: RequestState = {
    requestId: newId("req"),
    startedMs: performance.now(),
    traceId: trace.getActiveSpan()?.spanContext().traceId,
    route: undefined,
    principal: null,
    error: undefined,
  };
  states.set(req, state);
  return state;
}

/** 499 is nginx's word for "the client left before it was answered". */
export const clientGoneStatus = 499;

/** One wide record a request: refusals are info, our own failures error with the cause; quiet routes log only those. */
export function logRequest(logger: HttpLogger, method: string, state: RequestState, status: number): void {
  const { route, principal, error } = state;
  const fields: HttpLogFields = {
    requestId: state.requestId,
    ...(state.traceId === undefined ? {} : { traceId: state.traceId }),
    ...(principal ? { accountId: principal.accountId } : {}),
    // An unknown path is not logged: it is the client's text, and it would make as many routes as there are scanners.
    route: route ? `${route.method} ${route.path}` : `${method} (none)`,
    ...(route ? { name: route.operationId } : {}),
    status,
    ...(error ? { code: error.code } : {}),
    durationMs: Math.round((performance.now() - state.startedMs) * 10) / 10,
  };
  if (status >= 500) logger.error("request failed", { ...fields, error });
  else if (error) logger.info("request refused", fields);
  else if (route?.logClass === "quiet") logger.debug("request served", fields);
  else logger.info("request served", fields);
}
