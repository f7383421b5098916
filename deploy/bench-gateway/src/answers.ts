/** What the upstream of the bench answers, as the bytes that go over the wire; made once. */

export const models = {
  /** At once: one JSON, or a stream of 100 chunks, each written by itself. */
  fast: "bench-fast",
  /** A chunk each 10 ms, 100 of them. */
  paced: "bench-paced",
  /** A chunk each second, 30 of them: for many streams at a time. */
  slow: "bench-slow",
  /** Without end, as fast as it is taken: for a reader that stalls. */
  flood: "bench-flood",
} as const;

export const chunks = { fast: 100, paced: 100, slow: 30 } as const;
export const pacedEveryMs = 10;
export const slowEveryMs = 1_000;

/** What every whole answer reports. */
export const usage = { prompt_tokens: 40, completion_tokens: 100, total_tokens: 140 } as const;

const head = { id: "chatcmpl-bench", created: 1_790_000_000, model: models.fast };

function event(data: unknown): string {
  return `data: ${JSON.stringify(data)}\n\n`;
}

function chunked(text: string): Buffer {
  return Buffer.from(`${Buffer.byteLength(text).toString(16)}\r\n${text}\r\n`);
}

function delta(content: string, finish: string | null = null): unknown {
  const choices = [{ index: 0, delta: { content }, finish_reason: finish }];
  return { ...head, object: "chat.completion.chunk", choices };
}

const body = JSON.stringify({
  ...head,
  object: "chat.completion",
  choices: [
    { index: 0, message: { role: "assistant", content: "A short answer of the bench." }, finish_reason: "stop" },
  ],
  usage,
});

export const jsonAnswer = Buffer.from(
  `HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: ${String(Buffer.byteLength(body))}\r\n\r\n${body}`,
);

export const streamHead = Buffer.from(
  "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncache-control: no-cache\r\ntransfer-encoding: chunked\r\n\r\n",
);
export const streamChunk = chunked(event(delta(" token")));
/** Events of a kilobyte without a word of answer in them: no bound on the cost may end the stream. */
const padding = { ...head, object: "chat.completion.chunk", choices: [], system_fingerprint: "fp".repeat(500) };
export const floodChunk = chunked(event(padding).repeat(60));
/** The finish, the usage, the mark of the end, and the end of the body. */
export const streamTail = Buffer.concat([
  chunked(event(delta("", "stop")) + event({ ...head, object: "chat.completion.chunk", choices: [], usage })),
  chunked("data: [DONE]\n\n"),
  Buffer.from("0\r\n\r\n"),
]);
