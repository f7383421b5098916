import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { ok } from "@codex/kernel";
import { context, propagation, ROOT_CONTEXT, trace, TraceFlags } from "@opentelemetry/api";
import { AsyncLocalStorageContextManager } from "@opentelemetry/context-async-hooks";
import { W3CTraceContextPropagator } from "@opentelemetry/core";
import { eventHandler, rpcHandler, type Bus } from "../src/index.ts";
import { happened, reserve, startTestBus, type TestBus } from "./_util.ts";

let server: TestBus;
let bus: Bus;

beforeAll(async () => {
  context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable());
  propagation.setGlobalPropagator(new W3CTraceContextPropagator());
  server = await startTestBus();
  bus = await server.connect("traced");
  await bus.ensureTopology();
});

afterAll(async () => {
  await server.stop();
  context.disable();
  propagation.disable();
});

const traceId = "4bf92f3577b34da6a3ce929d0e0e4736";
const inTrace = <T>(run: () => T): T =>
  context.with(
    trace.setSpanContext(ROOT_CONTEXT, { traceId, spanId: "00f067aa0ba902b7", traceFlags: TraceFlags.SAMPLED }),
    run,
  );

const activeTraceId = (): string | undefined => trace.getSpanContext(context.active())?.traceId;

test("given an active trace, when an event is encoded, then its headers carry the W3C traceparent", () => {
  const { headers } = inTrace(() =>
    bus.encode(happened, { params: { itemId: "a" }, data: { itemId: "a", amount: 1n } }),
  );
  expect(headers["traceparent"]).toBe(`00-${traceId}-00f067aa0ba902b7-01`);
});

test("given an active trace, when an event is published, then the handler runs in the same trace", async () => {
  const seen = Promise.withResolvers<string | undefined>();
  const consumer = await bus.consume({
    stream: "EVENTS",
    durable: "traced",
    events: [
      eventHandler(happened, async () => {
        seen.resolve(activeTraceId());
      }),
    ],
  });
  await inTrace(() => bus.publish(happened, { params: { itemId: "a" }, data: { itemId: "a", amount: 1n } }));
  expect(await seen.promise).toBe(traceId);
  await consumer.stop();
});

test("given an active trace, when an RPC is called, then the responder runs in the same trace", async () => {
  let seen: string | undefined;
  const service = await bus.serve({ name: "traced", version: "1.0.0", description: "For tests." }, [
    rpcHandler(reserve, ({ req }) => {
      seen = activeTraceId();
      return Promise.resolve(ok({ reserved: req.amount, by: "one" }));
    }),
  ]);
  await inTrace(() => bus.call(reserve, { item: "book", amount: 1n }));
  expect(seen).toBe(traceId);
  await service.stop();
});
