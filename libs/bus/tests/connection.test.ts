import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { eventually } from "@codex/testkit";
import { connectBus } from "../src/index.ts";
import { startLink, startTestBus, type TestBus } from "./_util.ts";

let server: TestBus;

beforeAll(async () => {
  server = await startTestBus();
});

afterAll(() => server.stop());

test("given a server without TLS, when the address demands TLS, then it is refused in plain words and no byte is sent to it", async () => {
  const link = await startLink(server.nats);
  const { host } = new URL(link.url);
  const demanding = { servers: [link.url.replace("nats://", "tls://")], name: "demanding" };
  const deps = { logger: server.logger, source: "test" };
  await expect(connectBus(demanding, deps)).rejects.toThrow(
    `NATS at ${host} offers no TLS, which tls:// in an address demands; nothing was sent to it`,
  );
  await expect(connectBus({ ...demanding, servers: [link.url, ...demanding.servers] }, deps)).rejects.toThrow(
    "offers no TLS",
  );
  expect(link.sentBytes()).toBe(0);
  await link.stop();
});

test.each(["http://127.0.0.1:4222", "ws://127.0.0.1:4222"])(
  "given the address %s, when connecting, then it is refused: it is not NATS",
  async (url) => {
    await expect(
      connectBus({ servers: [url], name: "wrong" }, { logger: server.logger, source: "test" }),
    ).rejects.toThrow("begins with nats:// or tls://");
  },
);

test("given a connection that breaks and comes back, when it is logged, then the server stands there as a URL without credentials", async () => {
  const link = await startLink(server.nats);
  const { host } = new URL(link.url);
  await server.connect("watched", link.url);
  link.cut();
  const lines = await eventually(
    () => {
      const own = server.logger.lines.filter(({ url }) => url?.endsWith(host));
      return own.some(({ event }) => event === "bus.reconnected") && own;
    },
    { what: "the reconnect in the log" },
  );
  expect(lines.map(({ event, url }) => [event, url])).toEqual([
    ["bus.connected", `nats://${host}`],
    ["bus.disconnected", `nats://${host}`],
    ["bus.reconnected", `nats://${host}`],
  ]);
  await link.stop();
});
