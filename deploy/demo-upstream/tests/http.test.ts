import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { request } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { AuthenticationError, NotFoundError } from "openai";
import { DemoConfigError, readConfig } from "../src/config.ts";
import type { RunningDemoUpstream } from "../src/server.ts";
import { anthropic, journal, journalEntry, openai, post, startFast } from "./_util.ts";

let demo: RunningDemoUpstream;
beforeAll(async () => {
  demo = await startFast({ DEMO_BODY_BYTES_MAX: "100000" });
});
afterAll(() => demo.close());

const messages = [{ role: "user" as const, content: "hi" }];

describe("who is let in", () => {
  test("given no credential, then 401 in the dialect's shape", async () => {
    const none = { headers: { authorization: "" } };
    const openaiAnswer = await post(demo.url, "/v1/chat/completions", { model: "demo-small", messages }, none);
    expect([openaiAnswer.status, await openaiAnswer.json()]).toEqual([
      401,
      { error: expect.objectContaining({ type: "invalid_request_error" }) },
    ]);
    const anthropicAnswer = await post(
      demo.url,
      "/v1/messages",
      { model: "demo-small", messages, max_tokens: 9 },
      none,
    );
    expect([anthropicAnswer.status, await anthropicAnswer.json()]).toEqual([
      401,
      expect.objectContaining({ type: "error", error: expect.objectContaining({ type: "authentication_error" }) }),
    ]);
  });

  test("given a set key, then only it is let in, by either header, and it guards the journal too", async () => {
    const guarded = await startFast({ DEMO_UPSTREAM_KEY: "the-key" });
    try {
      const right = await openai(guarded.url, "the-key").models.list();
      expect(right.data.map((model) => model.id)).toContain("demo-small");
      await expect(openai(guarded.url, "other").models.list()).rejects.toBeInstanceOf(AuthenticationError);
      await expect(anthropic(guarded.url, "other").models.list()).rejects.toMatchObject({ status: 401 });
      const byApiKey = { authorization: "", "x-api-key": "the-key" };
      const answer = await post(
        guarded.url,
        "/v1/embeddings",
        { model: "demo-embedding", input: "x" },
        { headers: byApiKey },
      );
      expect(answer.status).toBe(200);
      expect((await fetch(`${guarded.url}/_demo/journal`)).status).toBe(401);
    } finally {
      await guarded.close();
    }
  });
});

describe("bad requests", () => {
  test("given an unknown model, then the SDK sees 404 model_not_found", async () => {
    const refused = openai(demo.url).chat.completions.create({ model: "gpt-none", messages });
    await expect(refused).rejects.toBeInstanceOf(NotFoundError);
    await expect(refused).rejects.toMatchObject({ code: "model_not_found" });
    await expect(openai(demo.url).models.retrieve("gpt-none")).rejects.toBeInstanceOf(NotFoundError);
    expect(await openai(demo.url).models.retrieve("demo-slow-3")).toMatchObject({ id: "demo-slow-3", object: "model" });
  });

  test.each([
    ["malformed JSON", "/v1/chat/completions", "{", 400],
    ["no messages", "/v1/chat/completions", { model: "demo-small", messages: [] }, 400],
    ["a wrong type", "/v1/chat/completions", { model: "demo-small", messages, n: "2" }, 400],
    ["a body that is no object", "/v1/chat/completions", "null", 400],
    ["an unknown path", "/v1/nothing", {}, 404],
    ["a path of Object's prototype", "/constructor", {}, 404],
    ["a wrong method", "/v1/models", {}, 405],
    ["a body over the limit", "/v1/chat/completions", JSON.stringify("x".repeat(100_001)), 413],
  ])("given %s, then the error has the OpenAI shape", async (_what, path, body, status) => {
    const response = await post(demo.url, path, body);
    const { error } = (await response.json()) as { error: Record<string, unknown> };
    expect([response.status, error["type"]]).toEqual([status, "invalid_request_error"]);
    expect(Object.keys(error)).toEqual(["message", "type", "param", "code"]);
    expect(error["message"]).toEqual(expect.stringMatching(/./));
  });

  test("given a body over the limit without a length, then 413 as well", async () => {
    const out = request(`${demo.url}/v1/embeddings`, { method: "POST", headers: { authorization: "Bearer x" } });
    out.on("error", () => undefined);
    out.write("y".repeat(60_000));
    out.write("y".repeat(60_000));
    const [response] = (await once(out, "response")) as [{ statusCode: number }];
    out.destroy();
    expect(response.statusCode).toBe(413);
  });

  test("given a request target that is no URL, then 404 and the server lives on", async () => {
    const out = request(demo.url, { path: "//", headers: { authorization: "Bearer x" } }).end();
    const [response] = (await once(out, "response")) as [{ statusCode: number; resume(): void }];
    response.resume();
    expect(response.statusCode).toBe(404);
  });
});

describe("the journal", () => {
  test("given answers, then entries are numbered, paged by since, and carry what was delivered", async () => {
    const before = (await journal(demo.url, 0)).entries.at(-1)?.seq ?? 0;
    const lengths: number[] = [];
    for (const id of ["req_j1", "req_j2"]) {
      const answer = await post(
        demo.url,
        "/v1/chat/completions",
        { model: "demo-small", messages },
        { headers: { "x-request-id": id } },
      );
      expect(answer.headers.get("x-request-id")).toBe(id);
      lengths.push(Buffer.byteLength(await answer.text()));
      await journalEntry(demo.url, id);
    }
    const page = await journal(demo.url, before);
    expect(page.entries.map(({ seq, requestId, bytes }) => [seq - before, requestId, bytes])).toEqual([
      [1, "req_j1", lengths[0]],
      [2, "req_j2", lengths[1]],
    ]);
    expect(page.entries[0]).toMatchObject({
      model: "demo-small",
      path: "/v1/chat/completions",
      outcome: "finished",
      status: 200,
      reportedUsage: { prompt_tokens: page.entries[0]?.trueUsage?.["prompt"] },
    });
    expect((await journal(demo.url, page.next)).entries).toEqual([]);
  });

  test("given more answers than it keeps, then the oldest are gone from memory, never from the file", async () => {
    const folder = await mkdtemp(join(tmpdir(), "demo-journal-"));
    const file = join(folder, "journal.jsonl");
    const small = await startFast({ DEMO_JOURNAL_ENTRIES_MAX: "2", DEMO_JOURNAL_FILE: file });
    try {
      for (const id of ["a", "b", "c", "d", "e"]) {
        await post(
          small.url,
          "/v1/embeddings",
          { model: "demo-embedding", input: "x" },
          { headers: { "x-request-id": id } },
        );
        await journalEntry(small.url, id);
      }
      const page = await journal(small.url);
      expect([page.oldest, page.entries.map((entry) => entry.requestId)]).toEqual([4, ["d", "e"]]);
      const lines = (await readFile(file, "utf8")).trim().split("\n");
      expect(lines.map((line) => (JSON.parse(line) as { requestId: string }).requestId)).toEqual([
        "a",
        "b",
        "c",
        "d",
        "e",
      ]);
    } finally {
      await small.close();
      await rm(folder, { recursive: true });
    }
  });

  test("given a caller that leaves in mid-stream, then generation stops and the entry says so", async () => {
    const leave = new AbortController();
    const body = { model: "demo-length-5000", messages, stream: true };
    const options = { headers: { "x-request-id": "req_left" }, signal: leave.signal };
    const response = await post(demo.url, "/v1/chat/completions?pace=5", body, options);
    await response.body!.getReader().read();
    leave.abort();
    const entry = await journalEntry(demo.url, "req_left");
    expect(entry).toMatchObject({ outcome: "client_gone", stream: true, reportedUsage: null });
    expect(entry.outputBytes).toBeLessThan(4_000);
    expect(entry.trueUsage?.["completion"]).toBe(5_000);
  });
});

describe("the process", () => {
  test("given a start, then one JSON line says where it listens, and SIGTERM ends it with 0", async () => {
    const main = join(import.meta.dirname, "../src/main.ts");
    const child = spawn(process.execPath, [main], {
      env: { PORT: "0" },
      stdio: ["ignore", "pipe", "inherit"],
    });
    try {
      const [line] = (await once(createInterface(child.stdout), "line")) as [string];
      const started = JSON.parse(line) as { event: string; url: string };
      expect(started.event).toBe("listening");
      expect((await openai(started.url).models.list()).data.length).toBeGreaterThan(10);
    } finally {
      child.kill("SIGTERM");
    }
    expect(await once(child, "exit")).toEqual([0, null]);
  });

  test("given wrong settings, then each is named; given blanks, then they are absent", () => {
    expect(() => readConfig({ PORT: "80a", DEMO_FIRST_BYTE_MS: "-1" })).toThrow(DemoConfigError);
    expect(() => readConfig({ PORT: "80a", DEMO_FIRST_BYTE_MS: "-1" })).toThrow(/PORT: [\s\S]*DEMO_FIRST_BYTE_MS: /);
    expect(readConfig({ PORT: "", DEMO_UPSTREAM_KEY: "" })).toMatchObject({
      port: 0,
      key: undefined,
      host: "127.0.0.1",
    });
  });
});
