import { setTimeout as delay } from "node:timers/promises";
import { Scope, type ScopeFailure } from "@codex/kernel";
import { startAdminServer } from "./admin-server.ts";
import type { CommonConfig } from "./common-config.ts";
import { Health } from "./health.ts";
import { silentLogger, type Logger } from "./logger.ts";
import { startTelemetry, type Telemetry } from "./telemetry.ts";

/** What `start` of a service gets. Everything that it acquires is pushed on `scope` in the same line. */
export interface ServiceContext<T> {
  readonly config: T;
  readonly scope: Scope;
  readonly logger: Logger;
  readonly telemetry: Telemetry;
  readonly health: Health;
  /** Aborted when work must end: after the grace time, just before the scope closes; at once when starting. */
  readonly signal: AbortSignal;
}

export interface RunningService {
  readonly httpUrl?: string;
  readonly httpPort?: number;
}

export type Start<T> = (ctx: ServiceContext<T>) => Promise<RunningService>;

export interface InProcessService extends RunningService {
  readonly adminPort: number;
  /** As on SIGTERM, grace time included. Idempotent. Rejects with AggregateError when a closer failed or hung. */
  stop(): Promise<void>;
  /** Names in the order in which they closed; fills during `stop`. */
  readonly closedOrder: string[];
}

export interface Launch {
  /** Settles when the service has started, or has failed to and everything it had opened is closed. */
  readonly started: Promise<RunningService & { readonly adminPort: number }>;
  /** Never rejects; the failures are those of the closers. Idempotent. */
  stop(): Promise<readonly ScopeFailure[]>;
  readonly closedOrder: string[];
}

/** How long a stop waits for a start that is still going on to notice the aborted signal. */
const startAbortMs = 5_000;

/**
 * Start: telemetry, admin listener, then the service's own resources. Stop: readiness fails, work goes on for the grace
 * time, the signal aborts, and the scope closes in reverse order, so probes and metrics answer until the end.
 */
export function launch<T extends { readonly common: CommonConfig }>(opts: {
  readonly name: string;
  readonly config: T;
  readonly start: Start<T>;
  readonly logger: Logger;
}): Launch {
  const { name, config, logger } = opts;
  const closedOrder: string[] = [];
  const abort = new AbortController();
  const health = new Health();
  const scope = new Scope({
    onClosed: (closed, durationMs) => {
      closedOrder.push(closed);
      logger.debug("closed", { name: closed, durationMs: Math.round(durationMs) });
    },
  });
  const started = (async () => {
    try {
      const telemetry = await openTelemetry(name, config.common, scope, logger);
      const admin = await startAdminServer({
        host: config.common.httpHost,
        port: config.common.adminPort,
        health,
        metricsText: () => telemetry.metricsText(),
      });
      scope.defer("admin listener", () => admin.close());
      const running = await opts.start({ config, scope, logger, telemetry, health, signal: abort.signal });
      health.setStarted();
      return { ...running, adminPort: admin.port };
    } catch (error) {
      abort.abort();
      logFailures(logger, await scope.close());
      throw error;
    }
  })();
  let stopping: Promise<readonly ScopeFailure[]> | undefined;
  const stop = async (): Promise<readonly ScopeFailure[]> => {
    const wasStarted = health.state === "started";
    health.setDraining();
    if (wasStarted) await delay(config.common.shutdownGraceMs);
    abort.abort();
    if (!wasStarted) await settled(started, startAbortMs);
    const failures = await scope.close();
    logFailures(logger, failures);
    return failures;
  };
  return {
    started,
    closedOrder,
    stop: () => {
      stopping ??= stop();
      return stopping;
    },
  };
}

/**
 * A whole service inside this process: for tests and for embedding. Takes a finished config and no signals.
 * Rejects with the error of `start`, after closing what was opened.
 */
export async function startInProcess<T extends { readonly common: CommonConfig }>(opts: {
  readonly name: string;
  readonly config: T;
  readonly start: Start<T>;
  readonly logger?: Logger;
}): Promise<InProcessService> {
  const launched = launch({ ...opts, logger: opts.logger ?? silentLogger });
  const running = await launched.started;
  return {
    ...running,
    closedOrder: launched.closedOrder,
    stop: async () => {
      const failures = await launched.stop();
      if (failures.length === 0) return;
      throw new AggregateError(
        failures.map((failure) => failure.error),
        `${opts.name}: failed to close: ${failures.map((failure) => failure.name).join(", ")}`,
      );
    },
  };
}

async function openTelemetry(service: string, common: CommonConfig, scope: Scope, logger: Logger): Promise<Telemetry> {
  const telemetry = await startTelemetry({
    service,
    instanceId: common.instanceId,
    ...(common.otlpEndpoint === undefined ? {} : { otlpEndpoint: common.otlpEndpoint }),
    onExportError: (error) => {
      logger.warn("traces were not exported", { error });
    },
  });
  scope.defer("telemetry", () => telemetry.shutdown());
  return telemetry;
}

function logFailures(logger: Logger, failures: readonly ScopeFailure[]): void {
  for (const failure of failures) logger.error("failed to close", { name: failure.name, error: failure.error });
}

async function settled(work: Promise<unknown>, timeoutMs: number): Promise<void> {
  const waiting = new AbortController();
  try {
    await Promise.race([work.catch(() => undefined), delay(timeoutMs, undefined, { signal: waiting.signal })]);
  } finally {
    waiting.abort();
  }
}
