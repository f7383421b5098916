import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { ok, refuse } from "@codex/kernel";
import { eventHandler, rpcHandler, type Bus } from "../src/index.ts";
import { happened, prices, reserve, startTestBus, type TestBus } from "./_util.ts";

// Two proofs at once. `tsc` proves that these calls do not compile: an `@ts-expect-error` above code that compiles is
// itself an error. Jest, which strips the types, proves that the same calls are refused when they run.

let server: TestBus;
let bus: Bus;

beforeAll(async () => {
  server = await startTestBus();
  bus = await server.connect("types");
  await bus.ensureTopology();
});

afterAll(() => server.stop());

const message = { params: { itemId: "a" }, data: { itemId: "a", amount: 1n } };

describe("what does not compile is also refused when it runs", () => {
  test("given the right types, when published, then it compiles and is stored", async () => {
    expect(await bus.publish(happened, message)).toMatchObject({ stream: "EVENTS" });
  });

  test("given a missing subject parameter, when published, then it is refused", async () => {
    // @ts-expect-error -- `itemId` is a parameter of the subject
    await expect(bus.publish(happened, { params: {}, data: message.data })).rejects.toThrow(
      "subject parameter itemId is missing",
    );
  });

  test("given a subject parameter that the pattern does not have, when published, then it does not compile", () => {
    // @ts-expect-error -- the pattern has `itemId` only
    const encoded = bus.encode(happened, { params: { itemId: "a", keyId: "b" }, data: message.data });
    expect(encoded.subject).toBe("evt.test.happened.v1.a");
  });

  test("given a payload of the wrong type, when published, then it is refused", async () => {
    // @ts-expect-error -- an amount is a bigint in code
    await expect(bus.publish(happened, { params: message.params, data: { itemId: "a", amount: 1 } })).rejects.toThrow(
      "expected bigint",
    );
    // @ts-expect-error -- a field is missing
    await expect(bus.publish(happened, { params: message.params, data: { itemId: "a" } })).rejects.toThrow("amount");
  });

  test("given a request of the wrong type, when called, then it is refused before it is sent", async () => {
    // @ts-expect-error -- an amount is a bigint in code
    await expect(bus.call(reserve, { item: "book", amount: "1" })).rejects.toThrow("expected bigint");
  });

  test("given a responder that answers an undeclared code, when called, then the caller never sees that code", async () => {
    const service = await bus.serve({ name: "types", version: "1.0.0", description: "For tests." }, [
      // @ts-expect-error -- "sold" is not among the declared errors
      rpcHandler(reserve, () => Promise.resolve(refuse("sold", "Sold."))),
    ]);
    await expect(bus.call(reserve, { item: "book", amount: 1n })).rejects.toMatchObject({
      kind: "unavailable",
      detail: { code: "internal_error" },
    });
    await service.stop();
  });

  test("given a responder that answers a value of the wrong type, when called, then the caller never sees it", async () => {
    const service = await bus.serve({ name: "types", version: "1.0.0", description: "For tests." }, [
      // @ts-expect-error -- `by` is missing
      rpcHandler(reserve, () => Promise.resolve(ok({ reserved: 1n }))),
    ]);
    await expect(bus.call(reserve, { item: "book", amount: 1n })).rejects.toMatchObject({ kind: "unavailable" });
    await service.stop();
  });

  test("given a bucket's value of the wrong type, when put, then it is refused", async () => {
    const kv = await bus.kv(prices);
    // @ts-expect-error -- a price is a bigint in code
    await expect(kv.put("a", { price: 5 })).rejects.toThrow("expected bigint");
  });
});

test("given a typed handler and a typed caller, then data, codes and values are known to the compiler", async () => {
  const handler = eventHandler(happened, async (data) => {
    const amount: bigint = data.amount;
    // @ts-expect-error -- the event has no such field
    expect([typeof amount, data.price]).toEqual(["bigint", undefined]);
  });
  await handler.handle(
    { itemId: "a", amount: 1n },
    { id: "x", time: new Date(), deliveries: 1, signal: new AbortController().signal },
  );
  const service = await bus.serve({ name: "types", version: "1.0.0", description: "For tests." }, [
    rpcHandler(reserve, ({ req }) =>
      Promise.resolve(req.amount > 5n ? refuse("out_of_stock", "None.") : ok({ reserved: req.amount, by: "x" })),
    ),
  ]);
  const result = await bus.call(reserve, { item: "book", amount: 6n });
  // @ts-expect-error -- no declared error has this name
  expect(!result.ok && result.code === "sold").toBe(false);
  expect(!result.ok && result.code === "out_of_stock").toBe(true);
  await service.stop();
});
