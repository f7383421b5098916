import { AppError } from "@codex/kernel";
import { afterEach, describe, expect, test } from "@jest/globals";
import { createServer, type IncomingMessage, type RequestListener, type Server } from "node:http";
import { createServer as createTcpServer, type AddressInfo } from "node:net";
import { errorOfStatus, transportFailure, UpstreamClient, type UpstreamCall } from "./openai.ts";

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

function callOf(baseUrl: string, more: Partial<UpstreamCall> = {}): UpstreamCall {
  return {
    baseUrl,
    secret: "sk-upstream",
    path: "/chat/completions",
    body: '{"model":"m"}',
    contentType: "application/json",
    stream: true,
    requestId: "req_1",
    signal: new AbortController().signal,
    ...more,
  };
}

async function errorOf(work: Promise<unknown>): Promise<unknown> {
  return work.then(
    () => new Error("was answered"),
    (thrown: unknown) => thrown,
  );
}

describe("what goes out", () => {
  test.each([
    [true, "text/event-stream"],
    [false, "application/json"],
  ])(
    "given stream %s, then exactly these headers and this body go out, to the base URL's path",
    async (stream, accept) => {
      let seen: { req: IncomingMessage; body: string } | undefined;
      const { url } = await serve((req, res) => {
        let body = "";
        req.setEncoding("utf8").on("data", (text: string) => (body += text));
        req.on("end", () => {
          seen = { req, body };
          res.end("{}");
        });
      });
      const answer = await client().call(callOf(`${url}/api/v1/`, { stream }));
      await answer.body.dump();
      const headers = Object.fromEntries(
        (seen?.req.rawHeaders ?? []).flatMap((name, index, all) =>
          index % 2 === 0 ? [[name.toLowerCase(), all[index + 1]]] : [],
        ) as [string, string][],
      );
      expect(headers).toEqual({
        accept,
        authorization: "Bearer sk-upstream",
        connection: "keep-alive",
        "content-length": "13",
        "content-type": "application/json",
        host: new URL(url).host,
        "user-agent": "codex-api-gateway",
        "x-request-id": "req_1",
      });
      expect([seen?.req.method, seen?.req.url, seen?.body]).toEqual([
        "POST",
        "/api/v1/chat/completions",
        '{"model":"m"}',
      ]);
    },
  );

  test("given a channel without a secret, then no authorization goes out", async () => {
    let authorization: string | undefined = "unset";
    const { url } = await serve((req, res) => {
      authorization = req.headers.authorization;
      res.end("{}");
    });
    await (await client().call(callOf(url, { secret: undefined }))).body.dump();
    expect(authorization).toBeUndefined();
  });
});

describe("what comes back", () => {
  test("given a refusal, then its status and whole seconds of retry-after are told, and no other retry-after", async () => {
    let retryAfter = "17";
    const { url } = await serve((_req, res) => {
      res.writeHead(429, { "retry-after": retryAfter, "content-type": "application/json" }).end("{}");
    });
    const upstream = client();
    const first = await upstream.call(callOf(url));
    await first.body.dump();
    expect(first).toMatchObject({ status: 429, retryAfterSeconds: 17, contentType: "application/json" });
    retryAfter = "Wed, 21 Oct 2026 07:28:00 GMT";
    const second = await upstream.call(callOf(url));
    await second.body.dump();
    expect(second.retryAfterSeconds).toBeUndefined();
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
    const error = await errorOf(body.text());
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
    expect(transportFailure(await errorOf(body.text()))).toMatchObject({ kind: "unavailable" });
    expect(transportFailure(new TypeError("a defect of ours"))).toBeUndefined();
  });
});

describe("the client leaves", () => {
  test("given before the answer, then the call rejects with its reason, and the upstream's connection is closed", async () => {
    const leave = new AbortController();
    const closed = Promise.withResolvers<undefined>();
    const { url } = await serve((req) => {
      req.socket.once("close", () => closed.resolve(undefined));
      leave.abort(new Error("the client left"));
    });
    const error = await errorOf(client().call(callOf(url, { signal: leave.signal })));
    expect(error).toBe(leave.signal.reason);
    await closed.promise;
  });

  test("given in the middle of the answer, then reading it fails, and the upstream's connection is closed", async () => {
    const leave = new AbortController();
    const closed = Promise.withResolvers<undefined>();
    const { url } = await serve((_req, res) => {
      res.once("close", () => closed.resolve(undefined));
      res.writeHead(200).write("data: 1\n\n");
    });
    const { body } = await client().call(callOf(url, { signal: leave.signal }));
    const reading = errorOf(body.text());
    leave.abort(new Error("the client left"));
    expect(await reading).toBe(leave.signal.reason);
    await closed.promise;
  });
});

test.each([
  [429, "rate_limited"],
  [400, "invalid"],
  [413, "invalid"],
  [422, "invalid"],
  [503, "unavailable"],
  [529, "unavailable"],
  [401, "upstream"],
  [402, "upstream"],
  [403, "upstream"],
  [404, "upstream"],
  [500, "upstream"],
])(
  "given the upstream refuses with %i, then the client's error is of the kind %s, with a bounded wait",
  (status, kind) => {
    const error = errorOfStatus(status, 86_400);
    expect(error.kind).toBe(kind);
    expect(error.retryAfterSeconds ?? 60).toBe(60);
  },
);
