import { AppError } from "@codex/kernel";
import { afterEach, describe, expect, test } from "@jest/globals";
import { createServer, type RequestListener, type Server } from "node:http";
import { createServer as createTcpServer, type AddressInfo } from "node:net";
import { Cancellation } from "./cancellation.ts";
import { transportFailure } from "./faults.ts";
import { UpstreamClient, type UpstreamCall } from "./transport.ts";

const closers: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
});

async function serve(listener: RequestListener): Promise<{ url: string; server: Server }> {
  const server = createServer(listener);
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  closers.push(
    () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  );
  return { url: `http://127.0.0.1:${String((server.address() as AddressInfo).port)}`, server };
}

function client(firstByteTimeoutMs = 5_000, betweenBytesTimeoutMs = 5_000): UpstreamClient {
  const made = new UpstreamClient({
    firstByteTimeoutMs,
    betweenBytesTimeoutMs,
    connectTimeoutMs: 1_000,
    connectionsMax: 4,
  });
  closers.push(() => made.close());
  return made;
}

function callOf(origin: string, more: Partial<UpstreamCall> = {}): UpstreamCall {
  return {
    origin,
    path: "/chat/completions",
    egress: "private",
    headers: { authorization: "Bearer sk-upstream" },
    body: '{"model":"m"}',
    signal: new Cancellation(),
    ...more,
  };
}

async function errorOf(work: Promise<unknown>): Promise<unknown> {
  return work.then(
    () => new Error("was answered"),
    (thrown: unknown) => thrown,
  );
}

describe("what comes back", () => {
  test("given a refusal, then its status and whole seconds of retry-after are told, and no other retry-after", async () => {
    let retryAfter = "17";
    const { url } = await serve((_req, res) => {
      res.writeHead(429, { "retry-after": retryAfter, "content-type": "application/json" }).end("{}");
    });
    const upstream = client();
    const first = await upstream.call(callOf(url));
    await first.body.all(1_000);
    expect(first).toMatchObject({ status: 429, retryAfterSeconds: 17, contentType: "application/json" });
    // A date would have to be believed against our own clock.
    retryAfter = "Wed, 21 Oct 2026 07:28:00 GMT";
    const second = await upstream.call(callOf(url));
    await second.body.all(1_000);
    expect(second.retryAfterSeconds).toBeUndefined();
  });

  test("given milliseconds of retry-after, as OpenAI and Azure send them, then they are told as whole seconds, rounded up", async () => {
    const { url } = await serve((_req, res) => {
      res.writeHead(429, { "retry-after-ms": "1201", "retry-after": "9" }).end("{}");
    });
    const answer = await client().call(callOf(url));
    await answer.body.all(1_000);
    expect(answer.retryAfterSeconds).toBe(2);
  });

  test("given a call's own bounds, then they hold instead of the client's", async () => {
    const { url } = await serve(() => undefined);
    const error = await errorOf(client(60_000).call(callOf(url, { firstByteTimeoutMs: 200 })));
    expect(error).toMatchObject({ kind: "timeout" });
  });

  test("given a redirect, then it is the answer: nothing goes to where it points", async () => {
    const reached: string[] = [];
    const sink = await serve((req, res) => {
      reached.push(req.url ?? "");
      res.end();
    });
    const { url } = await serve((_req, res) => {
      res.writeHead(307, { location: `${sink.url}/steal` }).end();
    });
    const answer = await client().call(callOf(url));
    await answer.body.all(1_000);
    expect([answer.status, reached]).toEqual([307, []]);
  });

  test("given no first byte in time, then the kind is timeout, which becomes 504", async () => {
    const { url } = await serve(() => undefined);
    const error = await errorOf(client(300).call(callOf(url)));
    expect(error).toBeInstanceOf(AppError);
    expect(error).toMatchObject({ kind: "timeout", code: "upstream_timeout", retryAfterSeconds: 1 });
  });

  test("given silence in the middle of the answer, then reading it fails, as a timeout", async () => {
    const { url } = await serve((_req, res) => {
      res.writeHead(200).write("data: 1\n\n");
    });
    const { body } = await client(5_000, 300).call(callOf(url));
    const error = await errorOf(body.all(1_000));
    expect(transportFailure(error)).toMatchObject({ kind: "timeout" });
  });

  test("given a connection that is refused, then the kind is unavailable, which becomes 503", async () => {
    const { url, server } = await serve(() => undefined);
    await new Promise((resolve) => server.close(resolve));
    expect(await errorOf(client().call(callOf(url)))).toMatchObject({
      kind: "unavailable",
      code: "upstream_unavailable",
    });
  });

  test.each([
    ["closes without a word", ""],
    ["does not speak HTTP", "SSH-2.0-OpenSSH_9.2\r\n"],
  ])("given an upstream that %s, then the kind is unavailable", async (_name, greeting) => {
    const server = createTcpServer((socket) => {
      socket.on("error", () => undefined);
      socket.resume();
      socket.end(greeting);
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    closers.push(() => new Promise((resolve) => server.close(() => resolve())));
    const url = `http://127.0.0.1:${String((server.address() as AddressInfo).port)}`;
    expect(await errorOf(client().call(callOf(url)))).toMatchObject({ kind: "unavailable" });
  });

  test("given an answer that breaks off, then reading it fails with what counts as the upstream's failure", async () => {
    const { url } = await serve((_req, res) => {
      res.writeHead(200, { "content-length": "100" }).write("half");
      setImmediate(() => res.destroy());
    });
    const { body } = await client().call(callOf(url));
    expect(transportFailure(await errorOf(body.all(1_000)))).toMatchObject({ kind: "unavailable" });
    expect(transportFailure(new TypeError("a defect of ours"))).toBeUndefined();
  });
});

describe("the client leaves", () => {
  test("given before the answer, then the call rejects with its reason, and the upstream's connection is closed", async () => {
    const leave = new Cancellation();
    const closed = Promise.withResolvers<undefined>();
    const { url } = await serve((req) => {
      req.socket.once("close", () => closed.resolve(undefined));
      leave.abort(new Error("the client left"));
    });
    const error = await errorOf(client().call(callOf(url, { signal: leave })));
    expect(error).toBe(leave.reason);
    await closed.promise;
  });

  test("given in the middle of the answer, then reading it fails, and the upstream's connection is closed", async () => {
    const leave = new Cancellation();
    const closed = Promise.withResolvers<undefined>();
    const { url } = await serve((_req, res) => {
      res.once("close", () => closed.resolve(undefined));
      res.writeHead(200).write("data: 1\n\n");
    });
    const { body } = await client().call(callOf(url, { signal: leave }));
    const reading = errorOf(body.all(1_000));
    leave.abort(new Error("the client left"));
    expect(await reading).toBe(leave.reason);
    await closed.promise;
  });
});

test("given a call that waits for a connection, when the client leaves, then it rejects at once and nothing is sent for it", async () => {
  const bodies: string[] = [];
  const { url } = await serve((req, res) => {
    req.on("data", (piece: Buffer) => bodies.push(piece.toString()));
    req.on("end", () => bodies.some((body) => body.includes("after")) && res.end("{}"));
  });
  const upstream = client();
  const running = Array.from({ length: 4 }, () => {
    const stop = new Cancellation();
    return { stop, ended: errorOf(upstream.call(callOf(url, { signal: stop }))) };
  });
  const leave = new Cancellation();
  const waiting = errorOf(upstream.call(callOf(url, { signal: leave, body: '{"model":"waits"}' })));
  leave.abort(new Error("the client left"));
  expect(await waiting).toBe(leave.reason);
  for (const { stop, ended } of running) {
    stop.abort(new Error("over"));
    await ended;
  }
  // The connections are free: what still stands in line would be sent before this.
  await (await upstream.call(callOf(url, { body: '{"model":"after"}' }))).body.all(10);
  expect(bodies.filter((body) => !body.includes('"m"'))).toEqual(['{"model":"after"}']);
});
