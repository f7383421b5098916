import { afterEach, describe, expect, test } from "@jest/globals";
import { once } from "node:events";
import { createServer, request, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { setImmediate as nextTurn } from "node:timers/promises";
import { deliverStream } from "../src/deliver.ts";
import { Exchange, Gone } from "../src/http/exchange.ts";
import { dataFrame, type Frame } from "../src/http/sse.ts";
import { Journal } from "../src/journal.ts";

let server: Server;
afterEach(() => {
  server.closeAllConnections();
  server.close();
});

function* endless(pulled: { count: number }): Generator<Frame> {
  for (;;) {
    pulled.count += 1;
    yield dataFrame({ n: pulled.count }, { tokens: 1, outputBytes: 1 });
  }
}

interface Running {
  readonly port: number;
  readonly journal: Journal;
  readonly pulled: { count: number };
  /** The answer waits for its reader. */
  readonly isHeldUp: () => boolean;
  /** How delivery ended: the error, or undefined. */
  readonly ended: Promise<unknown>;
}

async function serveEndless(msPerChunk: number, lifeMsMax: number): Promise<Running> {
  const journal = new Journal({ entriesMax: 10, file: undefined, fileBytesMax: 0 });
  const pulled = { count: 0 };
  const pace = { firstByteMs: 0, msPerChunk, msPerToken: 0 };
  let answer: ServerResponse | undefined;
  const ended = new Promise<unknown>((resolve) => {
    server = createServer((req, res) => {
      answer = res;
      const exchange = new Exchange(req, res, journal, lifeMsMax);
      deliverStream(exchange, endless(pulled), pace, undefined, dataFrame({})).then(resolve, resolve);
    });
  });
  await once(server.listen(0, "127.0.0.1"), "listening");
  return {
    port: (server.address() as AddressInfo).port,
    journal,
    pulled,
    isHeldUp: () => answer?.writableNeedDrain === true,
    ended,
  };
}

async function callerOf(port: number): Promise<{ leave(): void; response: IncomingMessage }> {
  const caller = request({ port, host: "127.0.0.1", method: "POST" }).end();
  caller.on("error", () => undefined);
  const [response] = (await once(caller, "response")) as [IncomingMessage];
  response.on("error", () => undefined);
  return { leave: () => caller.destroy(), response };
}

describe("an answer without end", () => {
  test.each([
    ["as fast as the socket takes it", 0],
    ["a chunk a millisecond", 1],
  ])(
    "given %s, when the caller leaves, then delivery ends at once and nothing more is generated",
    async (_name, ms) => {
      const { port, journal, pulled, ended } = await serveEndless(ms, 60_000);
      const { leave, response } = await callerOf(port);
      await once(response, "data");
      leave();
      expect(await ended).toBeInstanceOf(Gone);
      const settled = pulled.count;
      expect(journal.page(0, 10).entries).toMatchObject([{ outcome: "client_gone" }]);
      await nextTurn();
      expect(pulled.count).toBe(settled);
    },
  );

  test("given a caller that does not read, then generation waits for it, and ends when it leaves", async () => {
    const { port, pulled, isHeldUp, ended } = await serveEndless(0, 60_000);
    const { leave } = await callerOf(port);
    // A turn of the loop takes whatever the socket would still take.
    for (let before = -1; !isHeldUp() || pulled.count !== before;) {
      before = pulled.count;
      await nextTurn();
    }
    leave();
    expect(await ended).toBeInstanceOf(Gone);
  });

  test("given a time limit, when it passes, then the answer is broken off and the journal says cut", async () => {
    const { port, journal, ended } = await serveEndless(1, 200);
    const response = await fetch(`http://127.0.0.1:${port}/`, { method: "POST" });
    await expect(response.text()).rejects.toThrow("terminated");
    expect(await ended).toBeInstanceOf(Gone);
    expect(journal.page(0, 10).entries).toMatchObject([{ outcome: "cut" }]);
  });
});
