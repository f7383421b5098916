import { monitorEventLoopDelay } from "node:perf_hooks";
import { context, metrics, propagation, trace, type Meter, type Tracer } from "@opentelemetry/api";
import { AsyncLocalStorageContextManager } from "@opentelemetry/context-async-hooks";
import { loggingErrorHandler, setGlobalErrorHandler, W3CTraceContextPropagator } from "@opentelemetry/core";
import { PrometheusSerializer } from "@opentelemetry/exporter-prometheus";
import { resourceFromAttributes } from "@opentelemetry/resources";
import { MeterProvider, MetricReader } from "@opentelemetry/sdk-metrics";
import {
  AlwaysOffSampler,
  BatchSpanProcessor,
  ParentBasedSampler,
  type SpanExporter,
  TraceIdRatioBasedSampler,
  TracerProvider,
} from "@opentelemetry/sdk-trace";

export interface Telemetry {
  /** The metrics of this service in the Prometheus text format 0.0.4. */
  metricsText(): Promise<string>;
  readonly meter: Meter;
  readonly tracer: Tracer;
  /** Exports what is left (at most 5 s) and ends. Idempotent. Never rejects: a lost trace is told to `onExportError`. */
  shutdown(): Promise<void>;
}

const exportTimeoutMs = 5_000;
/** An unreachable collector fails every batch, each few seconds; the operator needs one line a minute. */
const errorEveryMs = 60_000;

/** Read on demand by the admin listener. The exporter class of the vendor would bring a second HTTP server. */
class PullReader extends MetricReader {
  protected override onForceFlush(): Promise<void> {
    return Promise.resolve();
  }

  protected override onShutdown(): Promise<void> {
    return Promise.resolve();
  }
}

/** Imported where it is used: its serializers are sixty modules that a start without a collector need not load. */
async function traceExporter(otlpEndpoint: string): Promise<SpanExporter> {
  const { OTLPTraceExporter } = await import("@opentelemetry/exporter-trace-otlp-http");
  return new OTLPTraceExporter({
    url: `${otlpEndpoint.replace(/\/+$/, "")}/v1/traces`,
    timeoutMillis: exportTimeoutMs,
  });
}

/**
 * Traces go to `otlpEndpoint` by OTLP/HTTP in bounded batches (2,048 spans wait, more are dropped). Without an endpoint
 * spans are not recorded, but trace ids exist, so logs of different services still join.
 * `sampleRatio`: share of new traces that are recorded, 0 to 1, default 1; a caller's decision is kept.
 *
 * The first telemetry of a process also becomes the global one of @opentelemetry/api, where libraries find it.
 */
export async function startTelemetry(opts: {
  readonly service: string;
  readonly instanceId: string;
  readonly otlpEndpoint?: string;
  readonly sampleRatio?: number;
  /** Told when traces could not be exported, at most once a minute. */
  readonly onExportError?: (error: unknown) => void;
}): Promise<Telemetry> {
  const onError = atMostEvery(errorEveryMs, opts.onExportError ?? (() => undefined));
  const resource = resourceFromAttributes({ "service.name": opts.service, "service.instance.id": opts.instanceId });
  const reader = new PullReader();
  const meterProvider = new MeterProvider({ resource, readers: [reader] });
  const tracerProvider = new TracerProvider({
    resource,
    ...(opts.otlpEndpoint === undefined
      ? { sampler: new AlwaysOffSampler() }
      : {
          sampler: new ParentBasedSampler({ root: new TraceIdRatioBasedSampler(opts.sampleRatio ?? 1) }),
          spanProcessors: [
            new BatchSpanProcessor({
              exporter: await traceExporter(opts.otlpEndpoint),
              exportTimeoutMillis: exportTimeoutMs,
              maxQueueSize: 2048,
            }),
          ],
        }),
  });
  const releaseGlobals = registerGlobals(tracerProvider, meterProvider, onError);
  const meter = meterProvider.getMeter(opts.service);
  const stopProcessMetrics = measureProcess(meter);
  const serializer = new PrometheusSerializer("", false, undefined, false, true);
  let shutdown: Promise<void> | undefined;
  return {
    meter,
    tracer: tracerProvider.getTracer(opts.service),
    metricsText: async () => serializer.serialize((await reader.collect()).resourceMetrics),
    shutdown: () => {
      shutdown ??= (async () => {
        stopProcessMetrics();
        releaseGlobals();
        const ended = await Promise.allSettled([tracerProvider.shutdown(), meterProvider.shutdown()]);
        for (const end of ended) if (end.status === "rejected") onError(end.reason);
      })();
      return shutdown;
    },
  };
}

/**
 * Context manager and propagator hold nothing of a service and stay for the life of the process. Providers are given up
 * at shutdown by the one that registered them. Baggage is not propagated: it would carry a client's headers to others.
 */
function registerGlobals(
  tracerProvider: TracerProvider,
  meterProvider: MeterProvider,
  onError: (error: unknown) => void,
): () => void {
  context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable());
  propagation.setGlobalPropagator(new W3CTraceContextPropagator());
  const ownsTraces = trace.setGlobalTracerProvider(tracerProvider);
  const ownsMetrics = metrics.setGlobalMeterProvider(meterProvider);
  if (ownsTraces) setGlobalErrorHandler(onError);
  return () => {
    if (ownsTraces) setGlobalErrorHandler(loggingErrorHandler());
    if (ownsTraces) trace.disable();
    if (ownsMetrics) metrics.disable();
  };
}

function atMostEvery(periodMs: number, tell: (error: unknown) => void): (error: unknown) => void {
  let lastMs = Number.NEGATIVE_INFINITY;
  return (error) => {
    const nowMs = performance.now();
    if (nowMs - lastMs < periodMs) return;
    lastMs = nowMs;
    tell(error);
  };
}

function measureProcess(meter: Meter): () => void {
  const delay = monitorEventLoopDelay({ resolution: 20 });
  delay.enable();
  meter
    .createObservableGauge("process_resident_memory_bytes", { description: "Resident set size." })
    .addCallback((result) => {
      result.observe(process.memoryUsage.rss());
    });
  meter
    .createObservableGauge("process_uptime_seconds", { description: "Seconds since the process began." })
    .addCallback((result) => {
      result.observe(process.uptime());
    });
  meter
    .createObservableGauge("nodejs_eventloop_delay_p99_seconds", {
      description: "99th percentile of the event loop delay since the last scrape.",
    })
    .addCallback((result) => {
      const nanoseconds = delay.percentile(99);
      delay.reset();
      result.observe(Number.isFinite(nanoseconds) ? nanoseconds / 1e9 : 0);
    });
  return () => {
    delay.disable();
  };
}
