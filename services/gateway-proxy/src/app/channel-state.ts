import type { ChannelReport, ChannelSnapshot, KeyRestReason, UpstreamKeySnapshot } from "@codex/contracts";
import type { Clock, UpstreamKeyId } from "@codex/kernel";
import { Breaker } from "../domain/breaker.ts";
import { hash32 } from "../domain/rendezvous.ts";
import { DayMeter } from "./day-meter.ts";

/**
 * What one worker knows of a channel beside its settings. It outlives the snapshots: a changed weight does not close a breaker
 * or wake a key that rests.
 */

/** A channel that wants no credentials has one key without a secret, so that it can rest like any other. */
export interface UpstreamKey {
  readonly keyId: UpstreamKeyId | null;
  readonly seed: number;
  readonly secret: string | undefined;
  /** Of the key as a whole. */
  rest: KeyRest | undefined;
  /** By the upstream's name of the model: providers limit rates, and grant access, model by model. */
  readonly modelRests: Map<string, KeyRest>;
  /** By the same name: when it last served it, monotonic. */
  readonly modelServed: Map<string, number>;
}

export interface KeyRest {
  /** Monotonic; the key is left alone until then. */
  readonly untilMs: number;
  readonly reason: KeyRestReason;
}

/** Undefined when the key can serve the model now. */
export function restOf(key: UpstreamKey, model: string, nowMs: number): KeyRest | undefined {
  if (key.rest && key.rest.untilMs > nowMs) return key.rest;
  if (key.modelRests.size === 0) return undefined;
  const rest = key.modelRests.get(model);
  return rest && rest.untilMs > nowMs ? rest : undefined;
}

export interface ChannelStatePorts {
  /** Throws when the key cannot be opened here. */
  readonly open: (channel: ChannelSnapshot, key: UpstreamKeySnapshot) => string;
  readonly onUnreadable: (channel: ChannelSnapshot, key: UpstreamKeySnapshot, error: unknown) => void;
  readonly clock: Clock;
}

/** How much one answer moves the average. */
const averageShare = 0.2;

export class ChannelState {
  readonly seed: number;
  readonly meter: DayMeter;
  snapshot: ChannelSnapshot;
  origin = "";
  /** Path of the base URL, without a slash at the end. */
  basePath = "";
  keys: readonly UpstreamKey[] = [];
  running = 0;
  /** At other workers, as they last told. */
  runningElsewhere = 0;
  requests = 0;
  failures = 0;
  rateLimited = 0;
  firstByteMs: number | null = null;
  private sealed: string | undefined;
  private nextKey = 0;
  private readonly ports: ChannelStatePorts;
  private readonly breakers = new Map<string, Breaker>();

  constructor(snapshot: ChannelSnapshot, ports: ChannelStatePorts) {
    this.ports = ports;
    this.snapshot = snapshot;
    this.seed = hash32(snapshot.channelId);
    this.meter = new DayMeter(ports.clock);
    this.update(snapshot);
  }

  /** Another address is another upstream: what was learnt of the old one is forgotten. */
  update(snapshot: ChannelSnapshot): void {
    if (snapshot.baseUrl !== this.snapshot.baseUrl || snapshot.kind !== this.snapshot.kind) this.breakers.clear();
    for (const model of this.breakers.keys()) if (!Object.hasOwn(snapshot.models, model)) this.breakers.delete(model);
    this.snapshot = snapshot;
    const url = new URL(snapshot.baseUrl);
    this.origin = url.origin;
    this.basePath = url.pathname.replace(/\/+$/, "");
    const sealed = snapshot.keys.map((key) => `${key.keyId} ${key.sealedSecret} ${key.wrappedKey ?? ""}`).join();
    if (snapshot.keyless) this.keys = this.keys[0]?.keyId === null ? this.keys : [keyOf(null, undefined)];
    else if (sealed !== this.sealed) this.openKeys(snapshot);
    this.sealed = snapshot.keyless ? undefined : sealed;
  }

  breaker(model: string): Breaker {
    let breaker = this.breakers.get(model);
    if (!breaker) {
      breaker = new Breaker();
      this.breakers.set(model, breaker);
    }
    return breaker;
  }

  /** Whether it takes a new request, apart from its keys and breakers. */
  get hasRoom(): boolean {
    const { concurrencyMax, dailyBudgetMicroTokens, dailyRequestsMax } = this.snapshot;
    if (concurrencyMax !== null && this.running + this.runningElsewhere >= concurrencyMax) return false;
    return dailyBudgetMicroTokens === null && dailyRequestsMax === null
      ? true
      : this.meter.allows(dailyBudgetMicroTokens, dailyRequestsMax);
  }

  /** Keys in use take turns for requests that belong to no session. */
  turn(): number {
    this.nextKey = (this.nextKey + 1) >>> 0;
    return this.nextKey;
  }

  answeredAfter(ms: number): void {
    this.firstByteMs = this.firstByteMs === null ? ms : this.firstByteMs + (ms - this.firstByteMs) * averageShare;
  }

  report(): ChannelReport {
    const nowMs = this.ports.clock.monotonicMs();
    const left = (untilMs: number): number => Math.max(0, Math.round(untilMs - nowMs));
    return {
      at: this.ports.clock.now().toISOString(),
      running: this.running,
      requests: this.requests,
      failures: this.failures,
      rateLimited: this.rateLimited,
      firstByteMs: this.firstByteMs === null ? null : Math.round(this.firstByteMs),
      restingKeys: this.keys
        .flatMap(({ keyId, rest, modelRests }) => [
          ...(rest ? [{ keyId, model: null, rest }] : []),
          ...Array.from(modelRests, ([model, modelRest]) => ({ keyId, model, rest: modelRest })),
        ])
        .filter(({ rest }) => rest.untilMs > nowMs)
        .slice(0, 100)
        .map(({ keyId, model, rest }) => ({ keyId, model, reason: rest.reason, untilMs: left(rest.untilMs) })),
      breakers: [...this.breakers]
        .flatMap(([model, { state, untilMs }]) =>
          state === "closed" ? [] : [{ model, state, untilMs: left(untilMs) }],
        )
        .slice(0, 500),
    };
  }

  private openKeys(snapshot: ChannelSnapshot): void {
    const before = new Map(this.keys.map((key) => [key.keyId, key]));
    this.keys = snapshot.keys.flatMap((key): UpstreamKey[] => {
      try {
        const secret = this.ports.open(snapshot, key);
        const known = before.get(key.keyId);
        // eslint-disable-next-line security/constant-time -- of an operator with itself: nobody sends it to be compared.
        if (known?.secret === secret) return [known];
        return [keyOf(key.keyId, secret)];
      } catch (error) {
        this.ports.onUnreadable(snapshot, key, error);
        return [];
      }
    });
  }
}

function keyOf(keyId: UpstreamKeyId | null, secret: string | undefined): UpstreamKey {
  return { keyId, seed: hash32(keyId ?? ""), secret, rest: undefined, modelRests: new Map(), modelServed: new Map() };
}
