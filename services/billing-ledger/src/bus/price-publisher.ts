import { setTimeout as delay } from "node:timers/promises";
import type { TypedKv } from "@codex/bus";
import { priceBookKey, priceBookNextKey, type PriceBook } from "@codex/contracts";
import type { PriceVersionId, PriceVersionStore } from "../app/price-ports.ts";

export interface PricePublisherDeps {
  readonly kv: TypedKv<PriceBook>;
  readonly prices: Pick<PriceVersionStore, "currentVersion" | "nextVersion" | "byVersion">;
  /** Between two looks at the database; bounds how late a new version is seen. */
  readonly pollMs: number;
  readonly onPublished: (version: PriceVersionId) => void;
  readonly onFailure: (error: unknown) => void;
}

/** Looks after which the bucket is compared again even though nothing changed: a wiped bucket heals itself. */
const recheckEvery = 20;

/** What the bucket holds as far as this replica knows; undefined: it has to look. */
interface Published {
  current: PriceVersionId | undefined;
  next: PriceVersionId | "none" | undefined;
}

/**
 * Keeps the price book in force, and ahead of time the next one, in the bucket that every gateway watches. Gateways switch to
 * the next one by their own clock, so nothing has to be written at that moment. Any number of replicas may run it: a write is
 * conditional on the revision that was read. Resolves after the first look, whether or not it succeeded.
 */
export async function startPricePublisher(deps: PricePublisherDeps): Promise<{ stop(): Promise<void> }> {
  const stopping = new AbortController();
  const published: Published = { current: undefined, next: undefined };
  const look = async (force: boolean): Promise<void> => {
    try {
      if (force) Object.assign(published, { current: undefined, next: undefined });
      // The next one first: when it is just taking effect, it must not be gone before it stands as the current one.
      const [next, current] = [await deps.prices.nextVersion(), await deps.prices.currentVersion()];
      if (current !== undefined && current !== published.current) {
        published.current = await publishCurrent(deps, current);
      }
      if ((next ?? "none") !== published.next) published.next = await publishNext(deps, next);
    } catch (error) {
      deps.onFailure(error);
    }
  };
  await look(true);
  const isStopping = (): boolean => stopping.signal.aborted;
  const running = (async () => {
    for (let round = 1; !isStopping(); round += 1) {
      await delay(deps.pollMs, undefined, { signal: stopping.signal }).catch(() => undefined);
      if (!isStopping()) await look(round % recheckEvery === 0);
    }
  })();
  return {
    stop: async () => {
      stopping.abort();
      await running;
    },
  };
}

/** The version that the bucket holds now, undefined when somebody else wrote in between. */
async function publishCurrent(deps: PricePublisherDeps, version: PriceVersionId): Promise<PriceVersionId | undefined> {
  const { kv, prices } = deps;
  const book = await readBook(deps, version);
  const found = await kv.get(priceBookKey);
  if (found?.value.version === version) return version;
  // A replica with a fresher view was here first. A version that the database does not know is left over from another one.
  if (found && found.value.effectiveAt > book.effectiveAt && (await prices.byVersion(found.value.version)))
    return undefined;
  const revision = found ? await kv.update(priceBookKey, book, found.revision) : await kv.create(priceBookKey, book);
  if (revision === null) return undefined;
  deps.onPublished(version);
  return version;
}

/**
 * The same for the scheduled version. A version that was cancelled, or has taken effect, is taken out of the bucket; should a
 * replica with an older view take out a fresh one, the next comparison puts it back.
 */
async function publishNext(deps: PricePublisherDeps, version: PriceVersionId | undefined): Promise<Published["next"]> {
  const { kv } = deps;
  const found = await kv.get(priceBookNextKey);
  if (version === undefined) {
    if (found) await kv.delete(priceBookNextKey);
    return "none";
  }
  if (found?.value.version === version) return version;
  const book = await readBook(deps, version);
  const revision = found
    ? await kv.update(priceBookNextKey, book, found.revision)
    : await kv.create(priceBookNextKey, book);
  if (revision === null) return undefined;
  deps.onPublished(version);
  return version;
}

async function readBook({ prices }: PricePublisherDeps, version: PriceVersionId): Promise<PriceBook> {
  const book = await prices.byVersion(version);
  if (!book) throw new Error("a price version that was named cannot be read");
  return book;
}
