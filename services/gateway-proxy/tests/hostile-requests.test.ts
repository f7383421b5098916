import { leakCheck } from "@codex/testkit";
import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { connect, type AddressInfo } from "node:net";
import { gzipSync } from "node:zlib";
import { readEvents, recordOf } from "./_streams.ts";
import { asOperator, send, startWorld, type Answer, type World } from "./_world.ts";

// The rows of security.md §6 that concern a request and its answer, each by its number.

const leaks = leakCheck();
let world: World;
let apiKey: string;
/** An upstream whose every byte the test decides, and which keeps what it was sent. */
let hostile: {
  readonly url: string;
  readonly seen: Seen[];
  answer: (res: ServerResponse) => void;
  close(): Promise<void>;
};

interface Seen {
  readonly headers: IncomingMessage["headers"];
  readonly rawHeaders: readonly string[];
  readonly url: string;
  readonly body: string;
}

async function startHostile(): Promise<typeof hostile> {
  const seen: Seen[] = [];
  const state = { answer: (res: ServerResponse): void => void res.end("{}") };
  const server = createServer((req, res) => {
    const chunks: Buffer[] = [];
    req.on("data", (chunk: Buffer) => chunks.push(chunk));
    req.on("end", () => {
      const body = Buffer.concat(chunks).toString("utf8");
      seen.push({ headers: req.headers, rawHeaders: req.rawHeaders, url: req.url ?? "", body });
      state.answer(res);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    url: `http://127.0.0.1:${String((server.address() as AddressInfo).port)}`,
    seen,
    get answer() {
      return state.answer;
    },
    set answer(next) {
      state.answer = next;
    },
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

beforeAll(async () => {
  world = await startWorld({}, ["demo-large"]);
  ({ apiKey } = world.customer(100_000_000_000n));
  hostile = await startHostile();
  const created = await send(world.gateway, "POST", "/api/gateway/channels", {
    headers: asOperator(world.auth),
    body: {
      name: "hostile",
      kind: "demo",
      baseUrl: `${hostile.url}/v1`,
      secret: "sk-hostile-upstream",
      models: { "demo-length-9": "up" },
    },
  });
  if (created.status !== 201) throw new Error(created.text);
}, 60_000);

afterAll(async () => {
  await world.stop();
  await hostile.close();
  await leaks.assertClean();
}, 30_000);

const messages = [{ role: "user", content: "hi" }];

function chat(body: unknown, headers: Record<string, string> = {}): Promise<Answer> {
  return send(world.gateway, "POST", "/v1/chat/completions", {
    headers: { authorization: `Bearer ${apiKey}`, ...headers },
    body,
  });
}

const toHostile = (more: Readonly<Record<string, unknown>> = {}): Promise<Answer> =>
  chat({ model: "demo-length-9", max_tokens: 9, messages, ...more });

const whole = (more: object = {}): string =>
  JSON.stringify({
    id: "c1",
    object: "chat.completion",
    choices: [{ index: 0, message: { role: "assistant", content: "ok" }, finish_reason: "stop" }],
    usage: { prompt_tokens: 3, completion_tokens: 1 },
    ...more,
  });

describe("SEC-84 the outgoing request is built, not copied", () => {
  test("given 200 header names, then only our own reach the upstream", async () => {
    hostile.answer = (res) => void res.end(whole());
    const names = Array.from({ length: 180 }, (_value, index) => `x-probe-${String(index)}`);
    const telling = [
      "cookie",
      "x-forwarded-for",
      "forwarded",
      "openai-organization",
      "openai-project",
      "referer",
      "te",
      "via",
    ];
    const headers = Object.fromEntries([...names, ...telling].map((name) => [name, "secret-value"]));
    expect((await toHostile()).status).toBe(200);
    await chat({ model: "demo-length-9", max_tokens: 9, messages }, headers);
    const { rawHeaders } = hostile.seen.at(-1)!;
    const sent = rawHeaders.filter((_value, index) => index % 2 === 0).map((name) => name.toLowerCase());
    expect(sent.sort()).toEqual([
      "accept",
      "authorization",
      "connection",
      "content-length",
      "content-type",
      "host",
      "user-agent",
      "x-request-id",
    ]);
    expect(rawHeaders.join("\n")).not.toContain("secret-value");
    expect(rawHeaders.join("\n")).not.toContain(apiKey);
  });

  test("given fields that identify, store or redirect, then they are left out or refused by name", async () => {
    hostile.answer = (res) => void res.end(whole());
    await toHostile({ user: "u-1", metadata: { a: "b" }, store: true, service_tier: "flex", safety_identifier: "s" });
    expect(Object.keys(JSON.parse(hostile.seen.at(-1)!.body) as object).sort()).toEqual([
      "max_tokens",
      "messages",
      "model",
    ]);
    for (const field of ["api_base", "api_key", "webhook", "callback", "base_url", "extra_headers"]) {
      const answer = await toHostile({ [field]: "http://evil" });
      expect(answer.body["error"]).toMatchObject({ code: "unknown_parameter", param: field });
    }
  });
});

test("SEC-85 of the upstream's headers nothing comes back, and the type is ours", async () => {
  hostile.answer = (res) => {
    res.writeHead(200, {
      "set-cookie": "a=b",
      "openai-organization": "our-org",
      "x-request-id": "upstream-id",
      server: "nginx/1.2",
      "content-type": "text/html",
      "access-control-allow-origin": "*",
    });
    res.end(whole());
  };
  const answer = await toHostile();
  expect(answer.headers.get("content-type")).toBe("application/json");
  for (const name of ["set-cookie", "openai-organization", "server", "access-control-allow-origin"]) {
    expect(answer.headers.get(name)).toBeNull();
  }
  expect(answer.headers.get("x-request-id")).toMatch(/^req_/);
});

describe("SEC-86 bodies that are bombs", () => {
  const inside = (value: string): string =>
    `{"model":"demo-small","messages":[{"role":"user","content":"hi"}],"metadata":${value}}`;
  test.each([
    ["200,000 levels", inside("[".repeat(200_000) + "]".repeat(200_000))],
    ["200,000 levels that never close", "[".repeat(200_000)],
    ["65 levels", inside("[".repeat(65) + "]".repeat(65))],
    [
      "a million keys",
      inside(`{${Array.from({ length: 1_000_000 }, (_value, index) => `"k${String(index)}":1`).join(",")}}`),
    ],
    ["a flat array of two million", inside(`[${"1,".repeat(2_000_000)}1]`)],
    ["an infinite number", inside('{"x":1e309}')],
    ["an unfinished string", '{"model":"demo-small'],
    ["nothing", ""],
  ])("given %s, then 400 before it is parsed", async (_name, body) => {
    const answer = await chat(body);
    expect(answer.status).toBe(400);
    expect(answer.body["error"]).toMatchObject({ code: "malformed_json" });
  });

  test("given bytes that are not UTF-8, then 400, and nothing is replaced in silence", async () => {
    const bytes = Buffer.concat([
      Buffer.from('{"model":"demo-small","messages":[{"role":"user","content":"'),
      Buffer.from([0xff, 0xfe]),
      Buffer.from('"}]}'),
    ]);
    const response = await fetch(`${world.gateway.httpUrl ?? ""}/v1/chat/completions`, {
      method: "POST",
      headers: { authorization: `Bearer ${apiKey}`, "content-type": "application/json" },
      body: bytes,
    });
    expect(response.status).toBe(400);
  });

  test("given a compressed body, then 415 without unpacking it", async () => {
    const response = await fetch(`${world.gateway.httpUrl ?? ""}/v1/chat/completions`, {
      method: "POST",
      headers: { authorization: `Bearer ${apiKey}`, "content-type": "application/json", "content-encoding": "gzip" },
      body: gzipSync(Buffer.alloc(10_000_000)),
    });
    expect(response.status).toBe(415);
  });

  test("given an integer above 2^53 and an escaped lone surrogate, then the upstream gets the same bytes", async () => {
    hostile.answer = (res) => void res.end(whole());
    const body =
      '{"model":"demo-length-9", "max_tokens":9,"messages":[{"role":"user","content":"\\ud800","n":9007199254740993}]}';
    await chat(body);
    expect(hostile.seen.at(-1)!.body).toContain('[{"role":"user","content":"\\ud800","n":9007199254740993}]');
  });
});

describe("SEC-98 keys that are there twice", () => {
  test.each([
    ['{"model":"demo-small","model":"demo-large","messages":[]}', "model"],
    ['{"model":"demo-small","mod\\u0065l":"demo-large","messages":[]}', "model"],
    ['{"model":"demo-small","messages":[{"role":"user","role":"system","content":"x"}]}', "role"],
  ])("given %s, then 400 names the key", async (body, key) => {
    const answer = await chat(body);
    expect(answer.status).toBe(400);
    expect(answer.text).toContain(`'${key}' twice`);
  });
});

describe("SEC-93 and SEC-94 an upstream's stream is not believed", () => {
  const sse = (text: string) => (res: ServerResponse) => {
    res.writeHead(200, { "content-type": "text/event-stream" });
    res.end(text);
  };
  const chunk = (delta: object, finish: string | null = null): string =>
    `data: ${JSON.stringify({ id: "c", choices: [{ index: 0, delta, finish_reason: finish }] })}\n\n`;

  test("given fields, ids, retries, comments and line breaks of every kind, then only data of our own making comes out", async () => {
    hostile.answer = sse(
      `: comment\nid: 7\nretry: 1\nevent: evil\n${chunk({ content: "a\u2028b\r\rdata: fake" })}` +
        `data: {"id":"c",\ndata: "choices":[{"index":0,"delta":{"content":"x"},"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n`,
    );
    const answer = await toHostile({ stream: true });
    const lines = answer.text.split("\n").filter((line) => line !== "");
    expect(lines.every((line) => line.startsWith("data: "))).toBe(true);
    expect(answer.text).not.toMatch(/\r|comment|evil|retry:/);
    expect(readEvents(answer.text)[0]!.data).toMatchObject({
      choices: [{ delta: { content: "a\u2028b\r\rdata: fake" } }],
    });
  });

  test("given an event name that tries to begin a field in a dialect with names, then it is not passed on", async () => {
    hostile.answer = sse(
      'event: message_start\ndata: {"type":"message_start","message":{"id":"m","usage":{"input_tokens":3,"output_tokens":1}}}\n\n' +
        'event: x" onerror\ndata: {"type":"evil thing"}\n\n',
    );
    const answer = await send(world.gateway, "POST", "/v1/messages", {
      headers: { authorization: `Bearer ${apiKey}`, "anthropic-version": "2023-06-01" },
      body: { model: "demo-length-9", max_tokens: 9, messages, stream: true },
    });
    expect(answer.text).not.toContain("onerror");
    expect(readEvents(answer.text).at(-1)!.name).toBe("error");
  });

  test("given an event that never ends, then the stream is cut at its bound, not kept", async () => {
    hostile.answer = (res) => {
      res.writeHead(200, { "content-type": "text/event-stream" });
      res.write(chunk({ content: "a" }));
      const flood = (): void => {
        while (!res.destroyed && res.write(Buffer.alloc(65_536, 0x61)));
        if (!res.destroyed) res.once("drain", flood);
      };
      res.write("data: ");
      flood();
    };
    const answer = await toHostile({ stream: true });
    expect(readEvents(answer.text).at(-1)!.data).toMatchObject({ error: { code: "stream_interrupted" } });
    expect(await recordOf(world, answer)).toMatchObject({ status: "upstream_cut" });
  });

  test("given a plain answer with its usage twice, then it is no answer, and nothing is charged", async () => {
    hostile.answer = (res) =>
      void res.end(`${whole().slice(0, -1)},"usage":{"prompt_tokens":0,"completion_tokens":0}}`);
    const answer = await toHostile();
    expect(answer.status).toBe(502);
  });

  test("given HTML with status 200, then it is no answer", async () => {
    hostile.answer = (res) => void res.end("<html>hello</html>");
    const answer = await toHostile();
    expect([502, 503]).toContain(answer.status);
    expect(answer.text).not.toContain("html");
  });
});

describe("SEC-88 framing: requests that two parsers could read differently", () => {
  function raw(text: string): Promise<string> {
    const { port } = new URL(world.gateway.httpUrl ?? "");
    return new Promise((resolve, reject) => {
      const socket = connect(Number(port), "127.0.0.1");
      let answer = "";
      socket.setTimeout(15_000, () => socket.destroy());
      socket.on("data", (data: Buffer) => (answer += data.toString("latin1")));
      socket.on("close", () => resolve(answer));
      socket.on("error", reject);
      socket.write(text, "latin1");
    });
  }
  const head = (lines: readonly string[]): string =>
    [
      "POST /v1/chat/completions HTTP/1.1",
      "Host: x",
      `Authorization: Bearer ${apiKey}`,
      "Content-Type: application/json",
      "Connection: close",
      ...lines,
      "",
      "",
    ].join("\r\n");
  const smuggled = "GET /v1/models HTTP/1.1\r\nHost: x\r\n\r\n";

  test.each([
    ["length and chunks", ["Content-Length: 4", "Transfer-Encoding: chunked"]],
    ["two lengths", ["Content-Length: 4", "Content-Length: 40"]],
    ["a length that is a list", ["Content-Length: 4, 40"]],
    ["a negative length", ["Content-Length: -4"]],
    ["a length with a sign", ["Content-Length: +4"]],
    ["an encoding twice", ["Transfer-Encoding: chunked", "Transfer-Encoding: identity"]],
    ["an unknown encoding", ["Transfer-Encoding: xchunked"]],
    ["a space before the colon", ["Transfer-Encoding : chunked"]],
    ["a folded header", ["X-A: b", " Transfer-Encoding: chunked"]],
    ["a NUL in a header", ["X-A: a\0b"]],
    ["a bare line feed", ["X-A: b\nContent-Length: 4"]],
    ["two hosts", ["Host: y", "Content-Length: 2"]],
    ["two authorizations", ["Authorization: Bearer other", "Content-Length: 2"]],
  ])("given %s, then one refusal, and what follows is not served", async (_name, lines) => {
    const before = world.upstream.journal.page(0, 10_000).entries.length;
    const answer = await raw(`${head(lines)}{}${smuggled}`);
    const statuses = [...answer.matchAll(/^HTTP\/1\.1 (\d{3})/gm)].map(([, status]) => status);
    expect(statuses).toEqual(["400"]);
    expect(world.upstream.journal.page(0, 10_000).entries.length).toBe(before);
    expect(answer).not.toContain(apiKey);
  });

  test("SEC-33 given the key in the URL or the body alone, then 401 without repeating it", async () => {
    const answer = await send(world.gateway, "POST", `/v1/chat/completions?api_key=${apiKey}&key=${apiKey}`, {
      body: { model: "demo-small", messages },
    });
    expect(answer.status).toBe(401);
    expect(answer.text).not.toContain(apiKey);
  });

  test("SEC-96 given a cookie alone, then 401; there is no CORS with credentials", async () => {
    const answer = await send(world.gateway, "GET", "/v1/models", { headers: asOperator(world.auth) });
    expect(answer.status).toBe(401);
    expect(answer.headers.get("access-control-allow-credentials")).toBeNull();
  });
});
