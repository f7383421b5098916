import { toAppError, type AppError, type Clock, type RequestId } from "@codex/kernel";
import type { WebSocket } from "ws";
import type { Route } from "../../app/catalogue.ts";
import { noRoute, RouteChoice, type Attempt } from "../../app/choose-route.ts";
import type { FaultScope } from "../../upstream/faults.ts";
import { connectRealtime } from "../../upstream/realtime-socket.ts";
import type { GatewayParts } from "../v1/context.ts";
import { blame } from "../v1/forward.ts";

/** The first channel that takes the session, by the same choice, rests and breakers as for any other request. */

export interface UpstreamSession {
  /** Open and paused. */
  readonly socket: WebSocket;
  readonly route: Route;
  /** To be called once, when the session is over: it holds a place of the channel until then. */
  readonly leave: (upstreamFailed: boolean) => void;
}

export interface OpenUpstreamInit {
  readonly requestId: RequestId;
  readonly userId: string;
  readonly routes: readonly Route[];
  readonly messageBytesMax: number;
  readonly signal: AbortSignal;
}

const connectTimeoutMs = 10_000;

/** Throws AppError: what the upstreams refused it for, or that none can take it. */
export async function openUpstream(
  parts: Pick<GatewayParts, "clock" | "events" | "logger">,
  init: OpenUpstreamInit,
): Promise<UpstreamSession> {
  const choice = new RouteChoice(init.routes, undefined, parts.clock);
  let failure: AppError | undefined;
  for (let attempt = choice.next(); attempt; attempt = choice.next()) {
    attempt.sent();
    try {
      const answer = await connectRealtime(attempt.route, attempt.key, { ...init, timeoutMs: connectTimeoutMs });
      if ("socket" in answer) {
        attempt.answered();
        attempt.end("success");
        return { socket: answer.socket, route: attempt.route, leave: stayIn(attempt.route, parts.clock) };
      }
      const { scope, error, isFinal } = blame(attempt, choice, answer.refusal);
      report(parts, init, attempt, error, scope);
      if (isFinal) throw error;
      failure = error;
    } catch (thrown) {
      const error = toAppError(thrown);
      if (init.signal.aborted || error.code !== "upstream_unavailable") throw error;
      attempt.end("failure");
      choice.leave(attempt, false);
      report(parts, init, attempt, error, "channel");
      failure = error;
    } finally {
      attempt.end("neutral");
    }
  }
  throw failure ?? noRoute(init.routes, parts.clock.monotonicMs());
}

/** An open session says that the channel works, at once: a breaker that waited for its end would let nobody else try for an hour. */
function stayIn({ channel, breaker }: Route, clock: Clock): (upstreamFailed: boolean) => void {
  channel.running += 1;
  const ticket = breaker.begin(clock.monotonicMs());
  return (upstreamFailed) => {
    channel.running -= 1;
    if (!upstreamFailed) return;
    channel.failures += 1;
    breaker.record(ticket, "failure", clock.monotonicMs());
  };
}

function report(
  { events, logger }: Pick<GatewayParts, "events" | "logger">,
  { requestId }: OpenUpstreamInit,
  { route }: Attempt,
  error: AppError,
  reason: FaultScope,
): void {
  events.upstreamFailed(route.kind, reason);
  const { channelId, channelName, upstreamModel } = route;
  logger.warn("upstream attempt failed", {
    requestId,
    channelId,
    name: channelName,
    model: upstreamModel,
    code: error.code,
    reason,
    error,
  });
}
