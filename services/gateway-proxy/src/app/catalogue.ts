import type { ChannelKind, ChannelSnapshot, ModelPrice, PriceBook, PriceGroup } from "@codex/contracts";
import { AppError, type ChannelId, type Clock, type Id } from "@codex/kernel";
import type { Breaker } from "../domain/breaker.ts";
import { nearestNames } from "../domain/nearest.ts";
import { ChannelState, type ChannelStatePorts } from "./channel-state.ts";

/**
 * What is sold and who delivers it: the price book and the channels, as the watched buckets last said. A model without a
 * price or without a channel does not exist (SEC-98).
 *
 * Billing sends the next price book ahead of its time. It takes over at its `effectiveAt` by this machine's clock, whether or
 * not billing is up at that moment; a request keeps the version it was admitted by.
 */

/** One channel as the way to one model. */
export interface Route {
  readonly channelId: ChannelId;
  readonly channelName: string;
  readonly kind: ChannelKind;
  /** Name of the model, or of Azure's deployment, at the upstream. */
  readonly upstreamModel: string;
  /** Live: its settings and what is known of its health change while a request runs. */
  readonly channel: ChannelState;
  readonly breaker: Breaker;
}

export interface Offer {
  readonly price: ModelPrice;
  /** Price of its tokens of sound, where the book has one: the row named `<model>:audio` (docs/adr/0017). */
  readonly sound?: ModelPrice;
  /** The groups of the book that the price is from. */
  readonly groups: readonly PriceGroup[];
  readonly priceVersion: Id<"prc">;
  /** By priority, the highest first, then by name. Never empty; one that is draining is still there, but takes nothing. */
  readonly routes: readonly Route[];
}

/** Name of the price row of a model's tokens of sound. */
export function soundRowOf(model: string): string {
  return `${model}:audio`;
}

export class Catalogue {
  private readonly clock: Clock;
  /** As billing last said, whatever its `effectiveAt` is to our clock. */
  private current: PriceBook | undefined;
  private next: PriceBook | undefined;
  /** When `next` takes over; infinity when it has, or when there is none. */
  private switchAtMs = Number.POSITIVE_INFINITY;
  private readonly ports: ChannelStatePorts;
  private states = new Map<ChannelId, ChannelState>();
  private offers = new Map<string, Offer>();

  constructor(ports: ChannelStatePorts) {
    this.ports = ports;
    this.clock = ports.clock;
  }

  setPrices(book: PriceBook): void {
    this.current = book;
    this.rebuild();
  }

  /** Undefined: none is scheduled, or it was cancelled. */
  setNextPrices(book: PriceBook | undefined): void {
    this.next = book;
    this.rebuild();
  }

  setChannels(channels: readonly ChannelSnapshot[]): void {
    const states = new Map<ChannelId, ChannelState>();
    for (const snapshot of channels) {
      const state = this.states.get(snapshot.channelId);
      if (state) state.update(snapshot);
      states.set(snapshot.channelId, state ?? new ChannelState(snapshot, this.ports));
    }
    for (const [channelId, state] of this.states) {
      // A request that chose its routes a moment ago may still hold it.
      if (!states.has(channelId)) state.update({ ...state.snapshot, state: "disabled" });
    }
    this.states = states;
    this.rebuild();
  }

  channels(): Iterable<ChannelState> {
    return this.states.values();
  }

  channel(channelId: ChannelId): ChannelState | undefined {
    return this.states.get(channelId);
  }

  /** False until the first price book in force arrived: the gateway is not ready. */
  get priced(): boolean {
    return this.current !== undefined;
  }

  models(): readonly Offer[] {
    this.switchWhenDue();
    return [...this.offers.values()];
  }

  /** Throws AppError `model_not_found` with the nearest names, or `model_not_allowed` for a key that may not use it. */
  offer(model: string, allowed: readonly string[] | null): Offer {
    this.switchWhenDue();
    const offer = this.offers.get(model);
    if (offer && (allowed === null || allowed.includes(model))) return offer;
    if (offer) {
      throw new AppError({
        kind: "forbidden",
        code: "model_not_allowed",
        publicMessage: `This API key may not use '${model}'. It allows: ${(allowed ?? []).slice(0, 10).join(", ")}.`,
        param: "model",
      });
    }
    const names = (allowed ?? [...this.offers.keys()]).filter((name) => this.offers.has(name));
    const nearest = nearestNames(model, names);
    const hint = nearest.length > 0 ? ` Did you mean ${nearest.join(", ")}?` : " GET /v1/models lists what there is.";
    throw new AppError({
      kind: "not_found",
      code: "model_not_found",
      publicMessage: `The model '${model.slice(0, 128)}' does not exist here.${hint}`,
      param: "model",
      metadata: { nearest },
    });
  }

  private switchWhenDue(): void {
    // Asked for each request, and almost always there is nothing to wait for.
    if (this.switchAtMs === Number.POSITIVE_INFINITY) return;
    if (this.clock.now().getTime() >= this.switchAtMs) this.rebuild();
  }

  /** The next book once its time has come, unless billing has gone on to a later one. */
  private inForce(): PriceBook | undefined {
    const { current, next } = this;
    this.switchAtMs = Number.POSITIVE_INFINITY;
    if (!next || (current && effectiveMs(next) <= effectiveMs(current))) return current;
    if (this.clock.now().getTime() >= effectiveMs(next)) return next;
    this.switchAtMs = effectiveMs(next);
    return current;
  }

  private rebuild(): void {
    const book = this.inForce();
    if (!book) return;
    const offers = new Map<string, Offer>();
    const states = [...this.states.values()]
      .filter(({ snapshot }) => snapshot.state !== "disabled")
      .sort(({ snapshot: a }, { snapshot: b }) => b.priority - a.priority || (a.name < b.name ? -1 : 1));
    const prices = new Map(book.models.map((price) => [price.model, price]));
    for (const price of book.models) {
      const sound = prices.get(soundRowOf(price.model));
      const routes = states.flatMap((channel) => routeOf(channel, price.model));
      if (routes.length > 0)
        offers.set(price.model, {
          price,
          ...(sound === undefined ? {} : { sound }),
          groups: book.groups,
          priceVersion: book.version,
          routes,
        });
    }
    this.offers = offers;
  }
}

function effectiveMs(book: PriceBook): number {
  return Date.parse(book.effectiveAt);
}

function routeOf(channel: ChannelState, model: string): Route[] {
  const { channelId, name, kind, models } = channel.snapshot;
  const upstreamModel = Object.hasOwn(models, model) ? models[model] : undefined;
  if (upstreamModel === undefined) return [];
  return [{ channelId, channelName: name, kind, upstreamModel, channel, breaker: channel.breaker(model) }];
}
