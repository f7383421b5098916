import { expect, test } from "@jest/globals";
import { createServer, request } from "node:http";
import { connect, type Socket } from "node:net";
import { z } from "zod";
import { createHttpApp, defineRoute, endReply, listen, type Route } from "../src/index.ts";
import { publicOrigin, serve } from "./_util.ts";

interface Slow {
  readonly route: Route;
  readonly entered: Promise<AbortSignal>;
  open(): void;
}

function slow(): Slow {
  const gate = Promise.withResolvers<undefined>();
  const entered = Promise.withResolvers<AbortSignal>();
  const route = defineRoute({
    operationId: "slow",
    method: "POST",
    path: "/api/slow",
    summary: "Waits.",
    auth: "public",
    owner: "none",
    rateClass: "none",
    bodyLimitBytes: 100,
    logClass: "standard",
    request: {},
    responses: { 200: z.strictObject({ done: z.boolean() }) },
    errors: [],
    handler: async ({ signal }) => {
      entered.resolve(signal);
      await gate.promise;
      return { status: 200, body: { done: true } };
    },
  });
  return { route, entered: entered.promise, open: () => gate.resolve(undefined) };
}

function closed(socket: Socket): Promise<void> {
  return new Promise((resolve) => socket.once("close", () => resolve()));
}

test("given a slow request and an idle connection, when the server closes, then new ones are refused, the idle one ends, and the slow one finishes", async () => {
  const { route, entered, open } = slow();
  const server = await serve([route]);
  const idle = connect(server.port, "127.0.0.1");
  const idleClosed = closed(idle);
  idle.write("GET /api/none HTTP/1.1\r\nHost: a\r\n\r\n");
  await new Promise((resolve) => idle.once("data", resolve));
  const answer = fetch(`${server.url}/api/slow`, { method: "POST" });
  await entered;
  let isClosed = false;
  const closing = server.close().then(() => (isClosed = true));
  await idleClosed;
  await expect(fetch(`${server.url}/api/slow`, { method: "POST" })).rejects.toThrow();
  expect(isClosed).toBe(false);
  open();
  const response = await answer;
  expect(response.headers.get("connection")).toBe("close");
  expect(await response.json()).toEqual({ done: true });
  await closing;
  expect(isClosed).toBe(true);
});

test("given a request that does not end, when the server closes, then it is cut at the bound", async () => {
  const { route, entered } = slow();
  const { app } = createHttpApp({
    service: "test",
    routes: [route],
    logger: { debug: () => undefined, info: () => undefined, warn: () => undefined, error: () => undefined },
    publicOrigin,
    trustedProxyCount: 0,
    production: true,
  });
  const server = await listen(app, { host: "127.0.0.1", port: 0, drainTimeoutMs: 50 });
  const answer = fetch(`http://127.0.0.1:${String(server.port)}/api/slow`, { method: "POST" }).catch(
    (error: unknown) => error,
  );
  const signal = await entered;
  await Promise.all([server.close(), server.close()]);
  expect(String(await answer)).toContain("fetch failed");
  expect(signal.aborted).toBe(true);
});

test("given a client that leaves, then the handler's signal aborts and the log says 499", async () => {
  const { route, entered, open } = slow();
  const server = await serve([route]);
  const client = request({ port: server.port, path: "/api/slow", method: "POST" }).on("error", () => undefined);
  client.end();
  const signal = await entered;
  const aborted = new Promise((resolve) => signal.addEventListener("abort", resolve));
  client.destroy();
  await aborted;
  open();
  await server.close();
  expect(server.logs).toEqual([expect.objectContaining({ status: 499, route: "POST /api/slow" })]);
});

test("given a client that leaves in the middle of its body, then nothing is answered and nothing fails", async () => {
  const { route } = slow();
  const server = await serve([route]);
  const socket = connect(server.port, "127.0.0.1");
  const arrived = new Promise((resolve) => server.server.once("request", resolve));
  socket.write("POST /api/slow HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: 50\r\n\r\n{");
  await arrived;
  socket.destroy();
  await server.close();
  expect(server.logs).toEqual([expect.objectContaining({ status: 499 })]);
});

test("given a port that is taken, then listen rejects", async () => {
  const taken = createServer();
  await new Promise<void>((resolve) => taken.listen(0, "127.0.0.1", resolve));
  const address = taken.address();
  const port = typeof address === "object" ? (address?.port ?? 0) : 0;
  await expect(listen(() => undefined, { host: "127.0.0.1", port })).rejects.toThrow("EADDRINUSE");
  await new Promise((resolve) => taken.close(resolve));
});

test("given a listening server, then it has the time and size bounds of SEC-87", async () => {
  const { server, close } = await listen(() => undefined, { host: "127.0.0.1", port: 0 });
  expect(server.headersTimeout).toBe(10_000);
  expect(server.requestTimeout).toBe(60_000);
  expect(server.maxConnections).toBe(10_000);
  await close();
});

test("given a refused client that never stops sending, then it reads its answer, and the socket ends at the linger bound", async () => {
  const { port, close } = await listen(
    (req, res) => {
      res.writeHead(413, { "content-length": 2 });
      endReply(req, res, "no", 30);
    },
    { host: "127.0.0.1", port: 0 },
  );
  const socket = connect(port, "127.0.0.1").on("error", () => undefined);
  const ended = closed(socket);
  let answer = "";
  socket.on("data", (chunk) => (answer += chunk.toString()));
  socket.write("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000000\r\n\r\n");
  const sending = setInterval(() => socket.write("x".repeat(1_000)), 2);
  await ended;
  clearInterval(sending);
  expect(answer).toMatch(/^HTTP\/1\.1 413 [^]*no/);
  await close();
});
