import { setTimeout as delay } from "node:timers/promises";
import type { TypedKv } from "@codex/bus";
import { priceBookKey, type PriceBook } from "@codex/contracts";
import type { PriceStore } from "../app/ports.ts";

export interface PricePublisherDeps {
  readonly kv: TypedKv<PriceBook>;
  readonly prices: PriceStore;
  /** Between two looks at the database; bounds how late a new version is seen. */
  readonly pollMs: number;
  readonly onPublished: (version: PriceBook["version"]) => void;
  readonly onFailure: (error: unknown) => void;
}

/** Looks after which the bucket is compared again even though nothing changed: a wiped bucket heals itself. */
const recheckEvery = 20;

/**
 * Keeps the price book in force in the bucket that every gateway watches. Any number of replicas may run it: a write is
 * conditional on the revision that was read. Resolves after the first look, whether or not it succeeded.
 */
export async function startPricePublisher(deps: PricePublisherDeps): Promise<{ stop(): Promise<void> }> {
  const stopping = new AbortController();
  let published: PriceBook["version"] | undefined;
  const look = async (force: boolean): Promise<void> => {
    try {
      const version = await deps.prices.currentVersion();
      if (version === undefined || (version === published && !force)) return;
      published = await publish(deps, version);
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
async function publish(
  deps: PricePublisherDeps,
  version: PriceBook["version"],
): Promise<PriceBook["version"] | undefined> {
  const { kv, prices } = deps;
  const book = await prices.byVersion(version);
  if (!book) throw new Error("the price version in force cannot be read");
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
