import type { KeyRestReason } from "@codex/contracts";
import { AppError, type Clock, type MicroTokens } from "@codex/kernel";
import type { AttemptOutcome } from "../domain/breaker.ts";
import { scoreOf } from "../domain/rendezvous.ts";
import type { Route } from "./catalogue.ts";
import { restOf, type UpstreamKey } from "./channel-state.ts";

/**
 * The choice among the channels of a model, for one request: the highest priority that can serve; within it those that take the
 * request as it is before those for which it is converted; among these the session's own channel and key, or by weight when the
 * request belongs to no session. One pass over a short list, nothing allocated.
 */

/** A round over the channels is followed by at most one more: no channel is tried more than twice for its own failures. */
const roundsMax = 2;
/** With several keys a channel, a request could otherwise walk over all of them. */
export const attemptsMax = 5;
/** Ours: longer than a model in use goes without a request, shorter than operators should take to hear that one is gone. */
const latelyMs = 600_000;

export class RouteChoice {
  private readonly routes: readonly Route[];
  private readonly session: number | undefined;
  private readonly clock: Clock;
  private readonly native: (route: Route) => boolean;
  private readonly random: () => number;
  /** By the index of the route; made with the first failure. */
  private spent: boolean[] | undefined;
  private barred: number[] | undefined;
  private rounds = 1;
  attempts = 0;

  /** `native`: whether a channel takes the request as it is. */
  constructor(
    routes: readonly Route[],
    session: number | undefined,
    clock: Clock,
    native: (route: Route) => boolean = () => true,
    random: () => number = Math.random,
  ) {
    this.routes = routes;
    this.session = session;
    this.clock = clock;
    this.native = native;
    this.random = random;
  }

  /** The next attempt, begun; undefined when no channel can serve, or enough has been tried. */
  next(): Attempt | undefined {
    if (this.attempts >= attemptsMax) return undefined;
    const nowMs = this.clock.monotonicMs();
    const index = this.best(nowMs);
    const route = this.routes[index];
    const key = route && this.keyOf(route, nowMs);
    if (!key) return undefined;
    this.attempts += 1;
    return new Attempt(route, index, key, this.clock);
  }

  /** This channel is not tried again in this round; `forGood`: nor in a later one. */
  leave(attempt: Pick<Attempt, "index">, forGood: boolean): void {
    this.spent ??= this.routes.map(() => false);
    this.spent[attempt.index] = true;
    if (forGood) (this.barred ??= []).push(attempt.index);
  }

  /** This channel cannot take the request at all: nothing was sent, and it was no attempt. */
  unfit(attempt: Attempt): void {
    attempt.end("neutral");
    this.attempts -= 1;
    this.leave(attempt, true);
  }

  /** Begins another round; false when there was the last one, or nothing is left to try in it. */
  again(): boolean {
    if (this.rounds >= roundsMax || this.attempts === 0) return false;
    this.rounds += 1;
    this.spent = this.routes.map((_route, index) => this.barred?.includes(index) === true);
    return this.best(this.clock.monotonicMs()) >= 0;
  }

  private best(nowMs: number): number {
    let best = -1;
    let bestScore = Number.NEGATIVE_INFINITY;
    let weights = 0;
    let priority = 0;
    let native = false;
    for (let index = 0; index < this.routes.length; index += 1) {
      const route = this.routes[index];
      if (!route || this.spent?.[index] === true || !canServe(route, nowMs)) continue;
      const { snapshot } = route.channel;
      // Sorted by priority: the first that can serve decides it.
      if (best >= 0 && snapshot.priority < priority) break;
      priority = snapshot.priority;
      const asItIs = this.native(route);
      if (native && !asItIs) continue;
      if (asItIs && !native) {
        // Whatever was found before needs a conversion.
        native = true;
        bestScore = Number.NEGATIVE_INFINITY;
        weights = 0;
      }
      if (this.session === undefined) {
        weights += snapshot.weight;
        if (this.random() * weights < snapshot.weight) best = index;
      } else {
        const score = scoreOf(this.session, route.channel.seed, snapshot.weight);
        if (score > bestScore) {
          best = index;
          bestScore = score;
        }
      }
    }
    return best;
  }

  private keyOf(route: Route, nowMs: number): UpstreamKey | undefined {
    const { keys } = route.channel;
    const offset = this.session === undefined ? route.channel.turn() : 0;
    let best: UpstreamKey | undefined;
    let bestScore = Number.NEGATIVE_INFINITY;
    for (let index = 0; index < keys.length; index += 1) {
      const key = keys[(index + offset) % keys.length];
      if (!key || restOf(key, route.upstreamModel, nowMs)) continue;
      if (this.session === undefined) return key;
      const score = scoreOf(this.session, key.seed, 1);
      if (score > bestScore) {
        best = key;
        bestScore = score;
      }
    }
    return best;
  }
}

function canServe(route: Route, nowMs: number): boolean {
  const { channel, breaker } = route;
  return channel.snapshot.state === "enabled" && channel.hasRoom && breaker.allows(nowMs) && hasKey(route, nowMs);
}

function hasKey({ channel, upstreamModel }: Route, nowMs: number): boolean {
  for (const key of channel.keys) if (!restOf(key, upstreamModel, nowMs)) return true;
  return false;
}

/** One request to one channel, from its beginning to its outcome. */
export class Attempt {
  readonly route: Route;
  readonly index: number;
  readonly key: UpstreamKey;
  private readonly clock: Clock;
  private readonly ticket: number;
  private readonly startedMs: number;
  private ended = false;

  constructor(route: Route, index: number, key: UpstreamKey, clock: Clock) {
    this.route = route;
    this.index = index;
    this.key = key;
    this.clock = clock;
    this.startedMs = clock.monotonicMs();
    this.ticket = route.breaker.begin(this.startedMs);
    route.channel.running += 1;
  }

  /** The request goes out now. */
  sent(): void {
    this.route.channel.requests += 1;
    this.route.channel.meter.asked();
  }

  answered(): void {
    this.route.channel.answeredAfter(this.clock.monotonicMs() - this.startedMs);
  }

  /** Once; later calls change nothing. */
  end(outcome: AttemptOutcome): void {
    if (this.ended) return;
    this.ended = true;
    const { channel, breaker, upstreamModel } = this.route;
    const nowMs = this.clock.monotonicMs();
    channel.running -= 1;
    if (outcome === "failure") channel.failures += 1;
    if (outcome === "success") this.key.modelServed.set(upstreamModel, nowMs);
    breaker.record(this.ticket, outcome, nowMs);
  }

  /** Whether this key served this model a while ago at most: then it is there, and it may be used. */
  servedLately(): boolean {
    const servedMs = this.key.modelServed.get(this.route.upstreamModel);
    return servedMs !== undefined && this.clock.monotonicMs() - servedMs < latelyMs;
  }

  charged(cost: MicroTokens): void {
    this.route.channel.meter.charged(cost);
  }

  /**
   * Leaves the key alone, for this model or for all: for as long as the upstream asked, within bounds, or for as long as such a
   * fault usually lasts.
   */
  rest(reason: KeyRestReason, retryAfterSeconds: number | undefined, wholeKey: boolean): void {
    const { channel, upstreamModel } = this.route;
    if (reason === "rate_limited") channel.rateLimited += 1;
    const { defaultMs, maxMs } = rests[reason];
    const ms = retryAfterSeconds === undefined ? defaultMs : Math.max(1, retryAfterSeconds) * 1_000;
    const nowMs = this.clock.monotonicMs();
    const untilMs = nowMs + Math.min(ms, maxMs);
    // An answer that was on its way may not shorten what a later one asked for.
    if ((restOf(this.key, upstreamModel, nowMs)?.untilMs ?? 0) >= untilMs) return;
    if (wholeKey) this.key.rest = { untilMs, reason };
    else this.key.modelRests.set(upstreamModel, { untilMs, reason });
  }
}

/** A rejected key or an empty account needs an operator; it is tried now and then, so that the repair is noticed. */
const rests = {
  rate_limited: { defaultMs: 5_000, maxMs: 3_600_000 },
  quota: { defaultMs: 300_000, maxMs: 3_600_000 },
  rejected: { defaultMs: 300_000, maxMs: 300_000 },
} as const satisfies Record<KeyRestReason, unknown>;

/** What a client is told when no channel can serve: by what would have to pass first. */
export function noRoute(routes: readonly Route[], nowMs: number): AppError {
  let soonestMs = Number.POSITIVE_INFINITY;
  let limited = false;
  let full = false;
  for (const { channel, breaker, upstreamModel } of routes) {
    if (channel.snapshot.state !== "enabled") continue;
    full ||= !channel.hasRoom;
    if (breaker.untilMs > nowMs) soonestMs = Math.min(soonestMs, breaker.untilMs);
    for (const key of channel.keys) {
      const rest = restOf(key, upstreamModel, nowMs);
      if (!rest) continue;
      limited ||= rest.reason === "rate_limited";
      soonestMs = Math.min(soonestMs, rest.untilMs);
    }
  }
  const seconds = Number.isFinite(soonestMs) ? Math.ceil((soonestMs - nowMs) / 1_000) : full ? 2 : 10;
  const retryAfterSeconds = Math.max(1, Math.min(seconds, 60));
  if (limited) {
    return new AppError({
      kind: "rate_limited",
      code: "upstream_rate_limited",
      publicMessage:
        "The model's provider is limiting requests at the moment. You were not charged. Please try again shortly.",
      retryAfterSeconds,
    });
  }
  return new AppError({
    kind: "unavailable",
    code: "upstream_unavailable",
    publicMessage:
      "No provider of this model can take a request at the moment. You were not charged. Please try again.",
    retryAfterSeconds,
  });
}
