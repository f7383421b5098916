import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { AppError, ok, refuse } from "@codex/kernel";
import { headers } from "@nats-io/nats-core";
import { Svcm } from "@nats-io/services";
import { eventually } from "@codex/testkit";
import { rpcHandler, type Bus } from "../src/index.ts";
import { gate, reserve, startTestBus, type TestBus } from "./_util.ts";

let server: TestBus;
let caller: Bus;
let responder: Bus;

beforeAll(async () => {
  server = await startTestBus();
  caller = await server.connect("caller");
  responder = await server.connect("responder");
});

afterAll(() => server.stop());

const description = { name: "stock", version: "1.0.0", description: "For tests." };
let handled = 0;
const serveOn = (bus: Bus, by: string) =>
  bus.serve(description, [
    rpcHandler(reserve, ({ req }) => {
      handled += 1;
      if (req.item === "nothing") return Promise.resolve(refuse("out_of_stock", "None is left.", { left: "0" }));
      if (req.item === "frozen") return Promise.resolve(refuse("frozen", "Line one\r\nline two."));
      if (req.item === "broken") return Promise.reject(new Error("password=hunter2"));
      return Promise.resolve(ok({ reserved: req.amount, by }));
    }),
  ]);

const failureOf = async (work: Promise<unknown>): Promise<AppError> => {
  const thrown = await work.then(
    () => undefined,
    (error: unknown) => error,
  );
  if (!(thrown instanceof AppError)) throw new Error(`expected an AppError, got ${String(thrown)}`);
  return thrown;
};

describe("with one responder", () => {
  let service: { stop(): Promise<void> };
  beforeAll(async () => {
    service = await serveOn(responder, "one");
  });
  afterAll(() => service.stop());

  test("given a good request, when called, then the parsed value comes back", async () => {
    const result = await caller.call(reserve, { item: "book", amount: 5n });
    expect(result).toEqual({ ok: true, value: { reserved: 5n, by: "one" } });
  });

  test("given a declared refusal, when called, then code, message and metadata come back as a value", async () => {
    expect(await caller.call(reserve, { item: "nothing", amount: 1n })).toEqual({
      ok: false,
      code: "out_of_stock",
      message: "None is left.",
      metadata: { left: "0" },
    });
  });

  test("given a refusal whose message has line breaks, when called, then it travels as one line", async () => {
    const result = await caller.call(reserve, { item: "frozen", amount: 1n });
    expect(result).toEqual({ ok: false, code: "frozen", message: "Line one line two." });
  });

  test("given a handler that throws, when called, then the caller gets unavailable and none of the internal text", async () => {
    const failure = await failureOf(caller.call(reserve, { item: "broken", amount: 1n }));
    expect(failure).toMatchObject({
      kind: "unavailable",
      code: "service_unavailable",
      detail: { code: "internal_error" },
    });
    expect(JSON.stringify(failure.detail)).not.toContain("hunter2");
    expect(server.logger.lines).toContainEqual(expect.objectContaining({ level: "error", event: "rpc.failed" }));
  });

  test.each(["not json", "{}", '{"item":"book","amount":5}', '{"item":"book","amount":"5","more":1}'])(
    "given the request %j, when sent, then the answer is bad_request with the ADR-32 headers",
    async (payload) => {
      const reply = await caller.connection.request(reserve.subject, payload, { timeout: 1_000 });
      expect(reply.headers?.get("Nats-Service-Error-Code")).toBe("400");
      expect(reply.headers?.get("Codex-Error-Code")).toBe("bad_request");
      expect(reply.headers?.get("Nats-Service-Error")).not.toBe("");
    },
  );

  test("given the services framework, when asked, then it finds the service, its endpoint and our counts", async () => {
    const client = new Svcm(caller.connection).client({ strategy: "stall", maxWait: 1_000, stall: 200 });
    const found = [];
    for await (const stats of await client.stats("stock")) found.push(stats);
    expect(found).toHaveLength(1);
    const endpoint = found[0]?.endpoints?.[0];
    expect(endpoint).toMatchObject({ name: "rpc-test-reserve-v1", subject: reserve.subject, queue_group: "stock" });
    expect(endpoint?.data).toMatchObject({ refusals: 2 });
  });
});

describe("without a good responder", () => {
  test("given no responder, when called, then it throws unavailable at once, not after the time-out", async () => {
    const startedMs = performance.now();
    const failure = await failureOf(caller.call(reserve, { item: "book", amount: 1n }, { timeoutMs: 20_000 }));
    expect(failure).toMatchObject({ kind: "unavailable", code: "service_unavailable", retryAfterSeconds: 1 });
    expect(performance.now() - startedMs).toBeLessThan(10_000);
  });

  test("given a responder that is late, when called, then the caller throws unavailable and the handler's signal aborts", async () => {
    const aborted = gate();
    const held = gate();
    const service = await responder.serve(description, [
      rpcHandler(reserve, async ({ signal }) => {
        signal.addEventListener("abort", aborted.open);
        await held.opened;
        return refuse("frozen", "too late");
      }),
    ]);
    const failure = await failureOf(caller.call(reserve, { item: "book", amount: 1n }, { timeoutMs: 150 }));
    expect(failure.kind).toBe("unavailable");
    await aborted.opened;
    held.open();
    await service.stop();
  });

  test("given a caller that gives up, when its signal aborts, then the call rejects with the signal's reason", async () => {
    const held = gate();
    const started = gate();
    const service = await responder.serve(description, [
      rpcHandler(reserve, async () => {
        started.open();
        await held.opened;
        return refuse("frozen", "nobody listens");
      }),
    ]);
    const leaving = new AbortController();
    const call = caller.call(reserve, { item: "book", amount: 1n }, { timeoutMs: 10_000, signal: leaving.signal });
    const outcome = call.catch((error: unknown) => error);
    await started.opened;
    leaving.abort(new Error("the client left"));
    expect(await outcome).toMatchObject({ message: "the client left" });
    held.open();
    await service.stop();
  });

  test.each([
    [
      "an undeclared code",
      { "Nats-Service-Error-Code": "422", "Nats-Service-Error": "no", "Codex-Error-Code": "surprise" },
      "",
    ],
    ["an unreadable value", {}, '{"reserved":5}'],
  ])("given a responder that answers %s, when called, then it throws unavailable", async (_name, lines, body) => {
    const answer = headers();
    for (const [name, value] of Object.entries(lines)) answer.set(name, value);
    const subscription = responder.connection.subscribe(reserve.subject, {
      callback: (_error, message) => {
        message.respond(body, { headers: answer });
      },
    });
    await responder.connection.flush();
    expect(await failureOf(caller.call(reserve, { item: "book", amount: 1n }))).toMatchObject({ kind: "unavailable" });
    subscription.unsubscribe();
    await responder.connection.flush();
  });
});

describe("with two responders of one name", () => {
  test("given two replicas, when called often, then each request is answered once and both take part", async () => {
    const second = await server.connect("responder-2");
    const services = [await serveOn(responder, "one"), await serveOn(second, "two")];
    handled = 0;
    const results = await Promise.all(
      Array.from({ length: 100 }, () => caller.call(reserve, { item: "book", amount: 1n })),
    );
    const by = results.map((result) => (result.ok ? result.value.by : "refused"));
    expect(by).toHaveLength(100);
    expect(new Set(by)).toEqual(new Set(["one", "two"]));
    await Promise.all(services.map((service) => service.stop()));
    expect(handled).toBe(100);
  });

  test("given a request under way, when the service stops, then it is answered first, and new ones find nobody", async () => {
    const held = gate();
    const started = gate();
    const service = await responder.serve(description, [
      rpcHandler(reserve, async ({ req }) => {
        started.open();
        await held.opened;
        return ok({ reserved: req.amount, by: "last" });
      }),
    ]);
    const running = caller.call(reserve, { item: "book", amount: 7n }, { timeoutMs: 5_000 });
    await started.opened;
    const stopped = service.stop();
    await eventually(
      async () => (await failureOf(caller.call(reserve, { item: "book", amount: 1n }))).kind === "unavailable",
      { what: "the service to leave" },
    );
    held.open();
    expect(await running).toMatchObject({ ok: true, value: { by: "last" } });
    await stopped;
  });

  test("given one slot, when three requests come, then they are handled one after the other", async () => {
    let running = 0;
    let most = 0;
    const service = await responder.serve({ ...description, concurrencyMax: 1 }, [
      rpcHandler(reserve, async ({ req }) => {
        running += 1;
        most = Math.max(most, running);
        await responder.ping();
        running -= 1;
        return ok({ reserved: req.amount, by: "one" });
      }),
    ]);
    await Promise.all([1n, 2n, 3n].map((amount) => caller.call(reserve, { item: "book", amount })));
    expect(most).toBe(1);
    await service.stop();
  });

  test("given a request whose caller has left while it waited, when its turn comes, then it is not handled", async () => {
    const held = gate();
    const started = gate();
    const items: string[] = [];
    const service = await responder.serve({ ...description, concurrencyMax: 1 }, [
      rpcHandler(reserve, async ({ req }) => {
        items.push(req.item);
        started.open();
        await held.opened;
        return ok({ reserved: req.amount, by: "one" });
      }),
    ]);
    const first = caller.call(reserve, { item: "first", amount: 1n }, { timeoutMs: 2_000 });
    await started.opened;
    await failureOf(caller.call(reserve, { item: "left", amount: 1n }, { timeoutMs: 50 }));
    const third = caller.call(reserve, { item: "third", amount: 1n }, { timeoutMs: 2_000 });
    await caller.ping();
    held.open();
    await Promise.all([first, third]);
    expect(items).toEqual(["first", "third"]);
    await service.stop();
  });

  test("given more waiting requests than the bound, when another comes, then it is turned away at once", async () => {
    const held = gate();
    const service = await responder.serve({ ...description, concurrencyMax: 1 }, [
      rpcHandler(reserve, async ({ req }) => {
        await held.opened;
        return ok({ reserved: req.amount, by: "one" });
      }),
    ]);
    const calls = Array.from({ length: 1_030 }, () =>
      caller.call(reserve, { item: "book", amount: 1n }, { timeoutMs: 2_000 }).catch((error: unknown) => error),
    );
    // One runs and 1,024 wait; the last five are refused while the first still runs.
    const last = await Promise.all(calls.slice(-5));
    expect(last).toEqual(
      Array.from({ length: 5 }, () =>
        expect.objectContaining({ detail: expect.objectContaining({ code: "overloaded" }) as unknown }),
      ),
    );
    held.open();
    expect((await Promise.all(calls.slice(0, -5))).filter((result) => result instanceof Error)).toEqual([]);
    await service.stop();
  });
});
