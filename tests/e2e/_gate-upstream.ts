import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

/**
 * A provider whose answers wait until the test lets them go, and whose streams do not end by themselves: for what must be
 * true while requests run.
 */
export interface GateUpstream {
  readonly url: string;
  /** Requests that have arrived and were not answered yet. */
  readonly waiting: number;
  /** Streams whose connection ended, for whatever reason, and when, by `performance.now()`. */
  readonly goneAtMs: readonly number[];
  /** Answers everything that waits, and everything that comes, with three tokens. */
  open(): void;
  close(): void;
  stop(): Promise<void>;
}

export async function startGateUpstream(): Promise<GateUpstream> {
  const held: (() => void)[] = [];
  const goneAtMs: number[] = [];
  let isOpen = false;
  const server = createServer((req, res) => {
    void readBody(req).then((body) => {
      if (body["stream"] === true) {
        streamForEver(res, goneAtMs);
        return;
      }
      if (isOpen) answer(res);
      else held.push(() => answer(res));
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    url: `http://127.0.0.1:${String((server.address() as AddressInfo).port)}/v1`,
    get waiting() {
      return held.length;
    },
    goneAtMs,
    open() {
      isOpen = true;
      for (const release of held.splice(0)) release();
    },
    close() {
      isOpen = false;
    },
    stop: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

async function readBody(req: IncomingMessage): Promise<Readonly<Record<string, unknown>>> {
  const chunks: Buffer[] = [];
  for await (const chunk of req) chunks.push(chunk as Buffer);
  return JSON.parse(Buffer.concat(chunks).toString("utf8")) as Record<string, unknown>;
}

function answer(res: ServerResponse): void {
  res.setHeader("content-type", "application/json");
  res.end(
    JSON.stringify({
      id: "x",
      object: "chat.completion",
      created: 1,
      model: "m",
      choices: [{ index: 0, message: { role: "assistant", content: "yes" }, finish_reason: "stop" }],
      usage: { prompt_tokens: 2, completion_tokens: 1, total_tokens: 3 },
    }),
  );
}

/** Ignores every bound, as a broken or hostile provider does. */
function streamForEver(res: ServerResponse, goneAtMs: number[]): void {
  res.setHeader("content-type", "text/event-stream");
  const timer = setInterval(() => {
    const delta = { content: "and on it goes, and on, and on, and on it goes, for ever and a day. " };
    const chunk = { id: "x", object: "chat.completion.chunk", created: 1, model: "m", choices: [{ index: 0, delta }] };
    res.write(`data: ${JSON.stringify(chunk)}\n\n`);
  }, 5);
  res.once("close", () => {
    clearInterval(timer);
    goneAtMs.push(performance.now());
  });
}
