import { createCounter, type BoundCounter, type Logger } from "@codex/runtime";
import type { Meter } from "@opentelemetry/api";
import type { MicroTokens } from "@codex/kernel";
import type { UsageDoubt } from "./domain/charge.ts";
import type { ResendReason } from "./spool/resend-rule.ts";

/** Business telemetry of the gateway: one function an event. Counters take low-cardinality labels, the log takes the ids. */

export interface RequestEnded {
  readonly requestId: string;
  readonly accountId: string | undefined;
  readonly keyId: string | undefined;
  readonly route: string;
  readonly model: string | undefined;
  readonly status: number;
  readonly code: string | undefined;
  readonly durationMs: number;
  readonly costMicroTokens: MicroTokens | undefined;
}

export interface GatewayEvents {
  requestEnded(event: RequestEnded): void;
  /** An attempt that did not lead to an answer, by the kind of the channel and whose fault it was. */
  upstreamFailed(kind: string, fault: string): void;
  /** A key that this worker's master keys do not open: the channel works without it. */
  upstreamKeyUnreadable(channelId: string, error: unknown): void;
  /** A request that was counted by this worker alone. */
  limitedAlone(): void;
  limiterAway(error: unknown): void;
  limiterBack(): void;
  spoolFault(error: unknown): void;
  publishFault(error: unknown): void;
  /** Records that go to billing once more, and why; billing books each once. */
  usageSentAgain(reason: ResendReason, records: number): void;
  epochRecovered(epoch: number, records: number, abandoned: number): void;
  /** An alarm: something other than a crash changed the spool's files. */
  spoolDamaged(epoch: number, bytes: number): void;
  usageDoubted(doubt: UsageDoubt): void;
  observeSpool(
    read: () => {
      readonly unconfirmed: number;
      readonly ageMs: number;
      readonly bytes: number;
      readonly full: boolean;
    },
  ): void;
}

export function gatewayEvents(logger: Logger, meter: Meter): GatewayEvents {
  const requests = createCounter(meter, "gateway_requests", "Requests of /v1 by route and status class");
  const charged = createCounter(meter, "gateway_charged_micro_tokens", "Sum of charges, in micro-tokens");
  const faults = createCounter(meter, "gateway_faults", "Faults of a dependency that a fallback covered");
  const doubts = createCounter(
    meter,
    "gateway_usage_doubts",
    "Answers whose reported usage was missing or not believed as it was",
  );
  const sentAgain = createCounter(meter, "gateway_usage_sent_again", "Usage records that were sent again, by reason");
  const duration = meter.createHistogram("gateway_request_duration_ms", {
    description: "Duration of /v1 requests",
    unit: "ms",
  });
  /** Routes and classes of status are few. */
  const byRoute = new Map<string, BoundCounter>();
  const requestsOf = (route: string, status: string): BoundCounter => {
    const name = `${status} ${route}`;
    const known = byRoute.get(name);
    if (known) return known;
    const counter = requests.with({ route, status });
    byRoute.set(name, counter);
    return counter;
  };
  return {
    requestEnded(event) {
      requestsOf(event.route, `${Math.floor(event.status / 100)}xx`).add();
      if (event.costMicroTokens !== undefined) charged.add(Number(event.costMicroTokens));
      duration.record(event.durationMs, { route: event.route });
      logger.info("request", { ...event, durationMs: Math.round(event.durationMs) });
    },
    ...channelEvents(logger, meter, faults),
    ...limitEvents(logger, faults),
    spoolFault(error) {
      faults.with({ dependency: "spool" }).add();
      logger.error("spool refused a record", { error });
    },
    publishFault(error) {
      faults.with({ dependency: "bus" }).add();
      logger.warn("usage is not confirmed yet", { error });
    },
    usageSentAgain(reason, records) {
      sentAgain.with({ reason }).add(records);
      logger.debug("usage is sent again", { reason, count: records });
    },
    epochRecovered(epoch, records, abandoned) {
      logger.warn("spool of an earlier life recovered", {
        epoch: epoch.toString(),
        count: records,
        pending: abandoned,
      });
    },
    spoolDamaged(epoch, bytes) {
      faults.with({ dependency: "spool" }).add();
      logger.error("spool of an earlier life is damaged", { epoch: epoch.toString(), bytes });
    },
    usageDoubted(doubt) {
      doubts.with({ doubt }).add();
    },
    observeSpool: (read) => observeSpool(meter, read),
  };
}

function observeSpool(meter: Meter, read: Parameters<GatewayEvents["observeSpool"]>[0]): void {
  const gauge = (name: string, description: string, of: (state: ReturnType<typeof read>) => number): void => {
    meter.createObservableGauge(name, { description }).addCallback((result) => {
      result.observe(of(read()));
    });
  };
  gauge("gateway_spool_unconfirmed_records", "Usage records that billing has not confirmed", (now) => now.unconfirmed);
  gauge(
    "gateway_spool_unconfirmed_age_ms",
    "Age of the oldest record that billing has not confirmed",
    (now) => now.ageMs,
  );
  gauge("gateway_spool_bytes", "Bytes of the spool on disk", (now) => now.bytes);
  gauge("gateway_spool_full", "1 while nothing new is admitted for the spool's sake", (now) => (now.full ? 1 : 0));
}

function limitEvents(
  logger: Logger,
  faults: ReturnType<typeof createCounter>,
): Pick<GatewayEvents, "limitedAlone" | "limiterAway" | "limiterBack"> {
  return {
    limitedAlone() {
      faults.with({ dependency: "redis" }).add();
    },
    limiterAway(error) {
      logger.warn("limits are counted by this worker alone", { error });
    },
    limiterBack() {
      logger.info("limits are counted by all workers together again");
    },
  };
}

function channelEvents(
  logger: Logger,
  meter: Meter,
  faults: ReturnType<typeof createCounter>,
): Pick<GatewayEvents, "upstreamFailed" | "upstreamKeyUnreadable"> {
  const failures = createCounter(
    meter,
    "gateway_upstream_failures",
    "Attempts at upstreams that led to no answer, by kind of channel and by fault",
  );
  return {
    upstreamFailed(kind, fault) {
      failures.with({ kind, fault }).add();
    },
    upstreamKeyUnreadable(channelId, error) {
      faults.with({ dependency: "upstream_key" }).add();
      logger.error("upstream key cannot be opened", { channelId, error });
    },
  };
}
