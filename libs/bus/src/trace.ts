import { headers as natsHeaders, type MsgHdrs } from "@nats-io/nats-core";
import {
  context,
  propagation,
  ROOT_CONTEXT,
  SpanStatusCode,
  trace,
  type Attributes,
  type Context,
  type SpanKind,
  type TextMapGetter,
} from "@opentelemetry/api";

// W3C trace context (traceparent, tracestate) travels in message headers. The propagator is the one that the process has
// registered globally; without one, nothing is added and nothing is read.

const fromHeaders: TextMapGetter<MsgHdrs | undefined> = {
  keys: (carrier) => carrier?.keys() ?? [],
  get: (carrier, key) => {
    const value = carrier?.get(key);
    return value === "" ? undefined : value;
  },
};

/** The active trace as header lines; empty without a propagator. */
export function traceHeaders(): Record<string, string> {
  const carrier: Record<string, string> = {};
  propagation.inject(context.active(), carrier);
  return carrier;
}

/** The sender's trace, as the parent of what the receiver does. */
export function traceOf(headers: MsgHdrs | undefined): Context {
  return propagation.extract(ROOT_CONTEXT, headers, fromHeaders);
}

export function toMsgHeaders(lines: Readonly<Record<string, string>>): MsgHdrs {
  const result = natsHeaders();
  for (const [name, value] of Object.entries(lines)) result.set(name, value);
  return result;
}

interface SpanSpec {
  /** Of low cardinality: an event type or an RPC subject, never an id. */
  readonly name: string;
  readonly kind: SpanKind;
  readonly parent: Context;
  readonly attributes: Attributes;
}

/** Runs in a span that is active for everything awaited inside; a throw marks the span and is passed on. */
export function withSpan<T>(spec: SpanSpec, run: () => Promise<T>): Promise<T> {
  const span = trace
    .getTracer("@codex/bus")
    .startSpan(
      spec.name,
      { kind: spec.kind, attributes: { "messaging.system": "nats", ...spec.attributes } },
      spec.parent,
    );
  return context.with(trace.setSpan(spec.parent, span), async () => {
    try {
      return await run();
    } catch (error) {
      span.setStatus({ code: SpanStatusCode.ERROR, message: error instanceof Error ? error.name : "error" });
      throw error;
    } finally {
      span.end();
    }
  });
}
