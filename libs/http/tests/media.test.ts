import { afterEach, expect, test } from "@jest/globals";
import { defineRoute, type Reply, type Route } from "../src/index.ts";
import { serve, type TestServer } from "./_util.ts";

let server: TestServer | undefined;
afterEach(async () => {
  await server?.close();
});

function route(content: Reply["content"] | (() => AsyncIterable<string>), media = true): Route {
  return defineRoute({
    operationId: "download",
    method: "GET",
    path: "/api/file.csv",
    summary: "A file",
    auth: "public",
    owner: "none",
    rateClass: "none",
    bodyLimitBytes: 0,
    logClass: "standard",
    request: {},
    responses: { 200: null },
    ...(media ? { media: { 200: "text/csv; charset=utf-8" } } : {}),
    errors: [],
    handler: async () => ({
      status: 200,
      ...(content === undefined ? {} : { content: typeof content === "function" ? content() : content }),
      headers: { "content-disposition": 'attachment; filename="file.csv"' },
    }),
  });
}

test("given text, when it is asked for, then it comes with its type and length", async () => {
  server = await serve([route("a,b\r\n")]);
  const answer = await fetch(`${server.url}/api/file.csv`);
  expect([answer.status, answer.headers.get("content-type"), answer.headers.get("content-length")]).toEqual([
    200,
    "text/csv; charset=utf-8",
    "5",
  ]);
  expect(answer.headers.get("content-disposition")).toBe('attachment; filename="file.csv"');
  expect(await answer.text()).toBe("a,b\r\n");
  const head = await fetch(`${server.url}/api/file.csv`, { method: "HEAD" });
  expect([head.status, await head.text()]).toEqual([200, ""]);
});

test("given pieces without end, when the client leaves, then the source ends and was never far ahead of it", async () => {
  let made = 0;
  const started = Promise.withResolvers<undefined>();
  const ended = Promise.withResolvers<undefined>();
  const pieces = async function* (): AsyncGenerator<string> {
    try {
      for (; made < 10_000; made += 1) {
        yield "x".repeat(65_536);
        started.resolve(undefined);
      }
    } finally {
      ended.resolve(undefined);
    }
  };
  server = await serve([route(pieces)]);
  const leaving = new AbortController();
  const answer = await fetch(`${server.url}/api/file.csv`, { signal: leaving.signal });
  expect(answer.status).toBe(200);
  await started.promise;
  leaving.abort();
  await ended.promise;
  // 10,000 pieces are 655 MB; the kernel's socket buffers hold some MB.
  expect(made).toBeLessThan(1_000);
});

test("given a source that fails half-way, when it is read, then the download is cut instead of looking whole", async () => {
  const pieces = async function* (): AsyncGenerator<string> {
    yield "first\r\n";
    throw new Error("the database went away");
  };
  server = await serve([route(pieces)]);
  const read = async (): Promise<string> => (await fetch(`${server?.url ?? ""}/api/file.csv`)).text();
  await expect(read()).rejects.toThrow();
});

test("given a route that declares no media type, when it answers text, then it is a defect: 500", async () => {
  server = await serve([route("text", false)]);
  expect((await fetch(`${server.url}/api/file.csv`)).status).toBe(500);
});
