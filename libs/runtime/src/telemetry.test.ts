import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { context, propagation, trace } from "@opentelemetry/api";
import { afterEach, describe, expect, test } from "@jest/globals";
import { createCounter } from "./counter.ts";
import { createLogger } from "./logger.ts";
import { startTelemetry, type Telemetry } from "./telemetry.ts";

const open: Telemetry[] = [];

async function start(otlpEndpoint?: string): Promise<Telemetry> {
  const telemetry = await startTelemetry({
    service: "sample",
    instanceId: "one",
    ...(otlpEndpoint === undefined ? {} : { otlpEndpoint }),
  });
  open.push(telemetry);
  return telemetry;
}

afterEach(async () => {
  await Promise.all(open.splice(0).map((telemetry) => telemetry.shutdown()));
});

/** A collector: keeps the bodies it is sent. */
async function collector(): Promise<{
  url: string;
  received: { path: string | undefined; body: string }[];
  close(): Promise<void>;
}> {
  const received: { path: string | undefined; body: string }[] = [];
  const server = createServer((req, res) => {
    let body = "";
    req.setEncoding("utf8").on("data", (text: string) => (body += text));
    req.on("end", () => {
      received.push({ path: req.url, body });
      res.setHeader("content-type", "application/json").end("{}");
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${String(port)}`,
    received,
    close: () =>
      new Promise((resolve) => {
        server.close(() => {
          resolve();
        });
        server.closeAllConnections();
      }),
  };
}

describe("metrics", () => {
  test("given counters and histograms, then the Prometheus text has them with service and instance", async () => {
    const telemetry = await start();
    telemetry.meter.createCounter("jobs", { description: "Jobs done." }).add(2, { kind: 'a"\n' });
    telemetry.meter.createHistogram("wait_seconds").record(0.3);
    const text = await telemetry.metricsText();
    expect(text).toContain("# TYPE jobs_total counter");
    expect(text).toContain('jobs_total{kind="a\\"\\n"} 2');
    expect(text).toMatch(/wait_seconds_bucket\{le="\+Inf"\} 1/);
    expect(text).toMatch(/target_info\{service_name="sample",service_instance_id="one"\} 1/);
    expect(text).toMatch(/process_resident_memory_bytes \d+/);
    expect(text).toMatch(/nodejs_eventloop_delay_p99_seconds [\d.e-]+/);
  });

  test("given two services in one process, then neither sees the metrics of the other", async () => {
    const first = await start();
    const second = await start();
    first.meter.createCounter("only_first").add(1);
    expect(await first.metricsText()).toContain("only_first");
    expect(await second.metricsText()).not.toContain("only_first");
  });

  test("given a cheap counter, then label sets are counted apart, in any order of labels, and bad amounts are ignored", async () => {
    const telemetry = await start();
    const requests = createCounter(telemetry.meter, "requests", "Requests.");
    const good = requests.with({ route: "/v1", status: "200" });
    good.add();
    good.add(4);
    requests.with({ status: "200", route: "/v1" }).add(Number.NaN);
    requests.with({ status: "500", route: "/v1" }).add(-1);
    const text = await telemetry.metricsText();
    expect(text).toContain('requests_total{route="/v1",status="200"} 5');
    expect(text).toContain('requests_total{route="/v1",status="500"} 0');
    const plain = createCounter(telemetry.meter, "plain", "Plain.");
    plain.add();
    expect(await telemetry.metricsText()).toMatch(/^plain_total 1$/m);
  });

  test("given more label sets than the bound, then the rest is counted together", async () => {
    const telemetry = await start();
    const counter = createCounter(telemetry.meter, "many", "Many.");
    for (let index = 0; index < 1_010; index += 1) counter.with({ id: String(index) }).add();
    const text = await telemetry.metricsText();
    expect(text).toContain('many_total{overflow="true"} 10');
    expect(text.match(/^many_total\{/gm)).toHaveLength(1_001);
  });
});

describe("traces", () => {
  test("given no endpoint, then spans are not recorded but trace ids exist, travel and are in the log", async () => {
    const { tracer } = await start();
    const lines: string[] = [];
    const logger = createLogger({
      service: "sample",
      level: "info",
      destination: { write: (line) => void lines.push(line) },
    });
    const carrier: Record<string, string> = {};
    await tracer.startActiveSpan("work", async (span) => {
      expect(span.isRecording()).toBe(false);
      await Promise.resolve();
      propagation.inject(context.active(), carrier);
      logger.info("inside");
      span.end();
    });
    const traceId = /^00-([0-9a-f]{32})-[0-9a-f]{16}-00$/.exec(carrier["traceparent"] ?? "")?.[1];
    expect(traceId).toBeDefined();
    expect(JSON.parse(lines[0] ?? "")).toMatchObject({ traceId });
  });

  test("given an endpoint, when it shuts down, then what was recorded has been sent, baggage has not", async () => {
    const target = await collector();
    try {
      const telemetry = await start(`${target.url}/`);
      const parent = propagation.extract(context.active(), {
        traceparent: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        baggage: "a=b",
      });
      expect(propagation.getBaggage(parent)).toBeUndefined();
      telemetry.tracer.startSpan("from outside", {}, parent).end();
      trace.getTracer("library").startSpan("from a library").end();
      await telemetry.shutdown();
      await telemetry.shutdown();
      expect(target.received.map((request) => request.path)).toEqual(["/v1/traces"]);
      expect(target.received[0]?.body).toContain("from outside");
      expect(target.received[0]?.body).toContain("0af7651916cd43dd8448eb211c80319c");
      expect(target.received[0]?.body).toContain("from a library");
    } finally {
      await target.close();
    }
  });

  test("given a collector that does not answer, then the loss is told once, and shutdown ends within its bound without failing", async () => {
    const target = await collector();
    await target.close();
    const told: unknown[] = [];
    const telemetry = await startTelemetry({
      service: "sample",
      instanceId: "one",
      otlpEndpoint: target.url,
      onExportError: (error) => told.push(error),
    });
    telemetry.tracer.startSpan("lost").end();
    const beganMs = performance.now();
    await telemetry.shutdown();
    expect(told).toHaveLength(1);
    expect(String(told[0])).toContain("ECONNREFUSED");
    expect(performance.now() - beganMs).toBeLessThan(8_000);
  });
});
