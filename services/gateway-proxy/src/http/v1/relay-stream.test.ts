import type { TokenCounts } from "@codex/contracts";
import { AppError, ManualClock, newId } from "@codex/kernel";
import { eventually } from "@codex/testkit";
import { afterEach, describe, expect, test } from "@jest/globals";
import { createServer, request as httpRequest, type RequestListener, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { MeteredRequest, type SpoolPort } from "../../app/metered-request.ts";
import { Cancellation } from "../../upstream/cancellation.ts";
import { UpstreamClient } from "../../upstream/transport.ts";
import { ChatStream } from "../../domain/chat-stream.ts";
import { ClientStream } from "./client-stream.ts";
import { nativeEvents, relayStream } from "./relay-stream.ts";

// A scripted upstream, the relay behind a server of its own, and a client: the bytes are real all the way.

const closers: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
});

async function serve(listener: RequestListener): Promise<string> {
  const server = createServer(listener);
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  closers.push(
    () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  );
  return `http://127.0.0.1:${String((server.address() as AddressInfo).port)}`;
}

const tokenRate = 1_000_000n;
const offer = {
  price: {
    model: "m",
    displayName: "m",
    contextTokens: 1_000,
    outputTokensMax: 1_000,
    rates: {
      input: tokenRate,
      cachedInput: tokenRate,
      cacheWrite: tokenRate,
      cacheWrite1h: tokenRate,
      output: tokenRate,
      reasoning: tokenRate,
    },
    perRequest: 0n,
    perImage: [],
    perAudioSecond: 0n,
    tiers: [],
    offPeak: [],
  },
  groups: [],
  priceVersion: newId("prc"),
  routes: [],
};

function meteredRequest(): { request: MeteredRequest; closings: Closing[] } {
  const closings: Closing[] = [];
  const spool: SpoolPort = {
    requestOpened: () => undefined,
    progress: () => undefined,
    requestClosed: (usage) => {
      closings.push(usage);
      return { ...usage, type: "usage", seq: closings.length };
    },
  };
  const accountId = newId("acc");
  const lease = {
    leaseId: newId("lse"),
    accountId,
    purse: accountId,
    priceGroup: "default",
    granted: 10n ** 15n,
    reserved: 10n ** 15n,
    expiresAtMs: 1,
    renewAtMs: 1,
    usedAtMs: 0,
    held: 10n ** 15n,
    spent: 0n,
    running: 1,
  };
  const request = new MeteredRequest(
    {
      requestId: newId("req"),
      accountId,
      keyId: newId("key"),
      ticket: { lease, hold: 10n ** 15n },
      offer,
      priceGroup: "default",
      startedAt: new Date("2026-11-23T12:00:00.000Z"),
      route: "/v1/chat/completions",
      streamed: true,
      inputBytes: 40,
    },
    { spool, settle: () => undefined, clock: new ManualClock() },
  );
  request.accepted = true;
  return { request, closings };
}

type Closing = Parameters<SpoolPort["requestClosed"]>[0] & { readonly tokens: TokenCounts };

interface Relay {
  readonly url: string;
  readonly closings: Closing[];
  /** Settles with what relayStream threw, or undefined. */
  readonly outcome: Promise<unknown>;
  readonly response: () => ServerResponse | undefined;
}

async function startRelay(upstream: RequestListener, stalledReaderMs?: number): Promise<Relay> {
  const client = new UpstreamClient({
    firstByteTimeoutMs: 5_000,
    betweenBytesTimeoutMs: 20_000,
    connectTimeoutMs: 1_000,
    connectionsMax: 4,
  });
  closers.push(() => client.close());
  const upstreamUrl = await serve(upstream);
  const { request, closings } = meteredRequest();
  const outcome = Promise.withResolvers<unknown>();
  let response: ServerResponse | undefined;
  const url = await serve((_req, res) => {
    response = res;
    const gone = new Cancellation();
    res.once("close", () => {
      if (!res.writableFinished) gone.abort(new Error("client gone"));
    });
    const work = async (): Promise<void> => {
      const answer = await client.call({
        origin: upstreamUrl,
        path: "/chat/completions",
        egress: "private",
        headers: {},
        body: "{}",
        signal: gone,
      });
      const stream = new ClientStream(res, "openai", 60_000);
      const state = new ChatStream("chat.completion.chunk");
      await relayStream(
        answer,
        state,
        nativeEvents(state),
        request,
        stream,
        () => undefined,
        stalledReaderMs ?? 20_000,
      );
    };
    work().then(
      () => outcome.resolve(undefined),
      (error: unknown) => {
        outcome.resolve(error);
        if (res.headersSent) res.end();
        else res.writeHead(502).end();
      },
    );
  });
  return { url, closings, outcome: outcome.promise, response: () => response };
}

/** Sends the text as the whole body, and gives what a client receives. */
async function relay(body: string, pieceBytes = 1_000_000) {
  const started = await startRelay((_req, res) => {
    res.writeHead(200, { "content-type": "text/event-stream" });
    const bytes = Buffer.from(body);
    for (let at = 0; at < bytes.length; at += pieceBytes) res.write(bytes.subarray(at, at + pieceBytes));
    res.end();
  });
  const answer = await fetch(started.url);
  const text = await answer.text();
  const error = await started.outcome;
  const blocks = text.split("\n\n");
  const events = blocks.slice(0, -1).map((block) => block.replace(/^data: /, ""));
  const chunks = events
    .filter((event) => event !== "[DONE]")
    .map((event) => JSON.parse(event) as Record<string, unknown>);
  return { status: answer.status, text, events, chunks, error, closings: started.closings };
}

const head = { id: "chatcmpl-1", object: "chat.completion.chunk", created: 1, model: "m" };
const usage = { prompt_tokens: 10, completion_tokens: 3, total_tokens: 13 };
const chunk = (more: object): string => JSON.stringify({ ...head, ...more });
const delta = (content: string, more: object = {}): string =>
  chunk({ choices: [{ index: 0, delta: { content }, finish_reason: null }], ...more });
const finish = (more: object = {}): string =>
  chunk({ choices: [{ index: 0, delta: {}, finish_reason: "stop" }], ...more });
const usageOnly = (): string => chunk({ choices: [], usage });
const sse = (...events: readonly string[]): string => events.map((event) => `data: ${event}\n\n`).join("");

describe("usage and cost", () => {
  test("given usage in the last chunk, then the cost goes into it, and the charge is price times usage", async () => {
    const { status, events, chunks, closings, error } = await relay(
      sse(delta("hello"), finish(), usageOnly(), "[DONE]"),
    );
    expect(error).toBeUndefined();
    expect(status).toBe(200);
    expect(events.at(-1)).toBe("[DONE]");
    expect(events[0]).toBe(delta("hello"));
    expect(chunks).toHaveLength(3);
    expect(chunks[2]).toEqual({
      ...head,
      choices: [],
      usage: {
        ...usage,
        cost: 0.000013,
        cost_details: {
          amount: "0.000013",
          currency: "token",
          price_version: offer.priceVersion,
          estimated: false,
        },
      },
    });
    expect(closings).toMatchObject([{ costMicroTokens: 13n, estimated: false, status: "ok" }]);
  });

  test("given usage in every chunk, then the last one counts, and only it carries the cost; no chunk is lost", async () => {
    const grown = (tokens: number): object => ({ usage: { prompt_tokens: 10, completion_tokens: tokens } });
    const { chunks, closings } = await relay(
      sse(delta("a", grown(1)), delta("b", grown(2)), finish(grown(3)), "[DONE]"),
    );
    expect(chunks).toHaveLength(3);
    expect(chunks.map((seen) => Object.hasOwn(seen["usage"] as object, "cost"))).toEqual([false, false, true]);
    expect(chunks[2]).toMatchObject({ usage: { completion_tokens: 3, cost: 0.000013 } });
    expect(closings).toMatchObject([{ costMicroTokens: 13n, tokens: { input: 10, output: 3 } }]);
  });

  test("given the usage comes before the finish, then it counts, and the last chunk repeats it with the cost", async () => {
    const { chunks, events, closings } = await relay(sse(delta("a"), usageOnly(), finish(), "[DONE]"));
    expect(chunks).toHaveLength(4);
    expect(chunks[2]).toMatchObject({ choices: [{ finish_reason: "stop" }] });
    expect(chunks[3]).toMatchObject({
      id: head.id,
      choices: [],
      usage: { prompt_tokens: 10, completion_tokens: 3, cost: 0.000013 },
    });
    expect(events.at(-1)).toBe("[DONE]");
    expect(closings).toMatchObject([{ costMicroTokens: 13n, estimated: false }]);
  });

  test("given no usage at all, then the charge is an estimate of what was delivered, and the client is told both", async () => {
    const { chunks, closings } = await relay(sse(delta("x".repeat(40)), finish(), "[DONE]"));
    // 40 bytes of request and 40 of answer, four a token.
    expect(closings).toMatchObject([{ costMicroTokens: 20n, estimated: true }]);
    expect(chunks.at(-1)).toMatchObject({
      usage: { prompt_tokens: 10, completion_tokens: 10, cost: 0.00002, cost_details: { estimated: true } },
    });
  });

  test("given believable usage and then a lie, then the lie is neither charged nor shown with the cost", async () => {
    const { chunks, closings } = await relay(
      sse(delta("a", { usage }), finish({ usage: { prompt_tokens: -5, completion_tokens: 1e300 } }), "[DONE]"),
    );
    expect(closings).toMatchObject([{ costMicroTokens: 13n }]);
    expect(chunks.at(-1)).toMatchObject({ usage: { prompt_tokens: 10, completion_tokens: 3, cost: 0.000013 } });
  });

  test("given an upstream that says what it costs us, then the client never sees that", async () => {
    const ours = { ...usage, cost: 99.5, cost_details: { upstream_inference_cost: 99.5 } };
    const { text } = await relay(sse(delta("a", { usage: ours }), finish({ usage: ours }), "[DONE]"));
    expect(text).not.toContain("99.5");
  });
});

describe("how a stream ends", () => {
  test("given a finish reason and no [DONE], then the answer is whole, and gets its end", async () => {
    const { events, error, closings } = await relay(sse(delta("a"), finish()));
    expect(error).toBeUndefined();
    expect(events.at(-1)).toBe("[DONE]");
    expect(closings).toMatchObject([{ status: "ok" }]);
  });

  test("given a finish reason written with spaces and no [DONE], then the same", async () => {
    const { events, error } = await relay(sse(delta("a"), finish().replaceAll('":', '": ')));
    expect(error).toBeUndefined();
    expect(events.at(-1)).toBe("[DONE]");
  });

  test("given neither, then it was cut: an error, no [DONE], and nothing is closed here", async () => {
    const { text, error, closings } = await relay(sse(delta("a"), delta("b")));
    expect(error).toMatchObject({ kind: "upstream", code: "stream_interrupted" });
    expect(text).not.toContain("[DONE]");
    expect(closings).toEqual([]);
  });

  test("given [DONE] without a finish reason, then the answer is whole", async () => {
    expect((await relay(sse(delta("a"), "[DONE]"))).error).toBeUndefined();
  });

  test("given bytes after [DONE], then they go nowhere", async () => {
    const { events, closings } = await relay(sse(finish(), "[DONE]", delta("more"), "[DONE]"));
    expect(events.filter((event) => event === "[DONE]")).toHaveLength(1);
    expect(events.join("")).not.toContain("more");
    expect(closings).toHaveLength(1);
  });

  test("given an empty body, then it was cut before the first byte: nothing was sent, another channel may be tried", async () => {
    const { status, error } = await relay("");
    expect(status).toBe(502);
    expect(error).toMatchObject({ code: "stream_interrupted" });
  });
});

describe("what an upstream may say wrong", () => {
  const broken = '{"id":"chatcmpl-1","usage":{"prompt_tokens":';

  test.each([
    ["a chunk that is not JSON", broken],
    ["a chunk that is no object", '["usage"]'],
    ["an error object", chunk({ error: { message: "sk-secret of our account", code: 500 } })],
  ])("given %s in the middle, then the stream is cut, and its text goes nowhere", async (_name, event) => {
    const { text, error, status } = await relay(sse(delta("a"), event, delta("b"), "[DONE]"));
    expect(status).toBe(200);
    expect(error).toBeInstanceOf(AppError);
    expect(error).toMatchObject({ code: "stream_interrupted" });
    expect(text).toBe(sse(delta("a")));
  });

  test.each([
    ["not JSON", broken],
    ["an error object", JSON.stringify({ error: { message: "overloaded" } })],
    ["an event beyond its bound", JSON.stringify({ text: "x".repeat(1_100_000) })],
  ])("given the first event is %s, then nothing was sent: another channel may be tried", async (_name, event) => {
    const { status, error, text } = await relay(sse(event, delta("b"), "[DONE]"));
    expect([status, text]).toEqual([502, ""]);
    expect(error).toMatchObject({ code: "stream_interrupted" });
  });

  test("given an `error` of null, then it is none", async () => {
    expect((await relay(sse(delta("a", { error: null }), finish(), "[DONE]"))).error).toBeUndefined();
  });
});

describe("the form of the stream", () => {
  test("given data over several lines, then it is one event, written anew as one line", async () => {
    const lines = JSON.stringify(JSON.parse(delta("hello there")), undefined, 2).split("\n");
    const body = `${lines.map((line) => `data: ${line}`).join("\n")}\n\n${sse(finish(), "[DONE]")}`;
    const { events, closings } = await relay(body);
    expect(events[0]).toBe(delta("hello there"));
    // 10 for the request, and 11 bytes of answer.
    expect(closings).toMatchObject([{ costMicroTokens: 13n, estimated: true }]);
  });

  test("given CR LF, comments, ids, retries and event names, byte by byte, then the client gets data lines alone", async () => {
    const body = [
      ": keep-alive",
      "",
      "event: message",
      "id: 7",
      "retry: 1",
      `data: ${delta("приве́т")}`,
      "",
      `data:${finish()}`,
      "",
      "data: [DONE]",
      "",
      "",
    ].join("\r\n");
    const { text, events } = await relay(body, 1);
    expect(events.slice(0, 2)).toEqual([delta("приве́т"), finish()]);
    expect(text).not.toMatch(/\r|^(id|event|retry|:)/m);
  });
});

describe("a client that does not read", () => {
  const big = delta("x".repeat(64_000));
  const total = 50_000_000;

  /** Pushes 50 MB as fast as they are taken, and tells how many bytes were. */
  function pushing(pushed: { bytes: number; ended: boolean; gone: boolean }): RequestListener {
    return (_req, res) => {
      res.writeHead(200, { "content-type": "text/event-stream" });
      const event = sse(big);
      res.once("close", () => (pushed.gone = true));
      const push = (): void => {
        while (pushed.bytes < total) {
          pushed.bytes += event.length;
          if (!res.write(event)) {
            res.once("drain", push);
            return;
          }
        }
        pushed.ended = true;
        res.end(sse(finish(), "[DONE]"));
      };
      push();
    };
  }

  function connect(url: string): Promise<{ readAll(): Promise<number>; destroy(): void }> {
    return new Promise((resolve, reject) => {
      const req = httpRequest(url, (res) => {
        res.pause();
        resolve({
          destroy: () => res.destroy(),
          readAll: async () => {
            let bytes = 0;
            for await (const piece of res as AsyncIterable<Buffer>) bytes += piece.length;
            return bytes;
          },
        });
      });
      req.once("error", reject);
      req.end();
    });
  }

  /** Resolves when no more was pushed for a while: what could be taken has been taken. */
  async function standstill(pushed: { bytes: number }): Promise<void> {
    let before = -1;
    await eventually(
      () => {
        const still = before === pushed.bytes;
        before = pushed.bytes;
        return still;
      },
      { what: "the upstream to be held up", everyMs: 300, timeoutMs: 10_000 },
    );
  }

  test("given 50 MB for it, then the upstream is held up after what sockets buffer; once it reads, all of it arrives", async () => {
    const pushed = { bytes: 0, ended: false, gone: false };
    const started = await startRelay(pushing(pushed));
    const rssBefore = process.memoryUsage.rss();
    const client = await connect(started.url);
    await standstill(pushed);
    // Four kernel buffers at most (two connections, two ends), a few megabytes each; the relay adds a chunk.
    expect(pushed.bytes).toBeLessThan(25_000_000);
    expect(started.response()?.writableLength).toBeLessThan(1_000_000);
    expect(process.memoryUsage.rss() - rssBefore).toBeLessThan(40_000_000);
    const bytes = await client.readAll();
    expect(bytes).toBeGreaterThan(total);
    expect(pushed.ended).toBe(true);
    expect(await started.outcome).toBeUndefined();
  }, 30_000);

  test("given it never reads on, then it is cut off after its bound, and the upstream is let go", async () => {
    const pushed = { bytes: 0, ended: false, gone: false };
    const started = await startRelay(pushing(pushed), 500);
    const client = await connect(started.url);
    expect(await started.outcome).toBeInstanceOf(Error);
    await eventually(() => pushed.gone, { what: "the upstream's connection to end" });
    expect(pushed.ended).toBe(false);
    client.destroy();
  }, 30_000);

  test("given it leaves, then the relay ends", async () => {
    const pushed = { bytes: 0, ended: false, gone: false };
    const started = await startRelay(pushing(pushed));
    const client = await connect(started.url);
    await standstill(pushed);
    client.destroy();
    expect(await started.outcome).toBeInstanceOf(Error);
    await eventually(() => pushed.gone, { what: "the upstream's connection to end" });
  }, 30_000);
});
