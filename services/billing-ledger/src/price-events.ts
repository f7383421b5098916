import { createCounter, type CheapCounter, type Logger } from "@codex/runtime";
import type { Meter } from "@opentelemetry/api";

/** Telemetry of prices. */
export interface PriceEvents {
  pricesPublished(version: string): void;
  /** Requests that a gateway priced by a version long after its successor took effect. */
  stalePriceUsed(version: string, requests: number): void;
  pricePublishFailed(error: unknown): void;
}

export function priceEvents(logger: Logger, meter: Meter, faults: CheapCounter): PriceEvents {
  const stale = createCounter(
    meter,
    "billing_stale_prices",
    "Requests priced by a version that was superseded long before",
  );
  return {
    stalePriceUsed(version, requests) {
      stale.add(requests);
      logger.warn("a superseded price version is still in use", { version, count: requests });
    },
    pricesPublished(version) {
      logger.info("price book published", { version });
    },
    pricePublishFailed(error) {
      faults.with({ part: "price_publisher" }).add();
      logger.error("price book could not be published", { error });
    },
  };
}
