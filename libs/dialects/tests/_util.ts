import { readdirSync, readFileSync } from "node:fs";
import path from "node:path";
import {
  convertRequest,
  dialectNames,
  type AnswerOptions,
  type DialectName,
  type Exchange,
  type RequestOptions,
  type StreamConversion,
} from "../src/index.ts";

export const goldenFolder = path.join(import.meta.dirname, "golden");
export const answerOptions: AnswerOptions = { answerId: "req_1", createdAt: 1_764_000_000, model: "public-model" };

/** The least request of each dialect that asks for a stream with usage. */
export const leastRequests: Readonly<Record<DialectName, Pick<RequestOptions, "body" | "url">>> = {
  chat: {
    body: {
      model: "m",
      messages: [{ role: "user", content: "hi" }],
      stream: true,
      stream_options: { include_usage: true },
    },
  },
  messages: { body: { model: "m", max_tokens: 99, messages: [{ role: "user", content: "hi" }], stream: true } },
  responses: { body: { model: "m", input: "hi", stream: true } },
  gemini: { body: { contents: [{ parts: [{ text: "hi" }] }] }, url: { model: "m", stream: true } },
};

/** Parameters of a tool. */
export const weather = { type: "object", properties: { city: { type: "string" } }, required: ["city"] };

export const chat = (more: object, message: unknown = { role: "user", content: "x" }): object => ({
  model: "m",
  messages: [message],
  ...more,
});
export const messages = (more: object, content: unknown = "x"): object => ({
  model: "m",
  max_tokens: 9,
  messages: [{ role: "user", content }],
  ...more,
});
export const responses = (more: object): object => ({ model: "m", input: "x", ...more });
export const gemini = (more: object, part: object = { text: "x" }): object => ({
  contents: [{ parts: [part] }],
  ...more,
});

export function exchange(options: RequestOptions): Exchange {
  const converted = convertRequest(options);
  if (!converted.ok) throw new Error(`${converted.refusal.path}: ${converted.refusal.message}`);
  return converted.value;
}

export function streamFor(client: DialectName, provider: DialectName): StreamConversion {
  const request = leastRequests[client];
  return exchange({ from: client, to: provider, ...request, outputTokensMax: 100 }).streamed(answerOptions);
}

/** What a client gets of a recorded stream, in one piece or in the given pieces. */
export function convertStream(client: DialectName, provider: DialectName, pieces: readonly Uint8Array[]): string {
  const conversion = streamFor(client, provider);
  return [...pieces.flatMap(conversion.push), ...conversion.end()].join("");
}

export interface Recording {
  readonly provider: DialectName;
  readonly name: string;
  readonly bytes: Uint8Array;
}

export function recordings(): Recording[] {
  return dialectNames.flatMap((provider) =>
    readdirSync(path.join(goldenFolder, provider))
      .filter((file) => /^[a-z-]+\.sse$/.test(file))
      .map((file) => ({
        provider,
        name: file.replace(/\.sse$/, ""),
        bytes: new Uint8Array(readFileSync(path.join(goldenFolder, provider, file))),
      })),
  );
}

export function expectationFile({ provider, name }: Recording, client: DialectName): string {
  return path.join(goldenFolder, provider, `${name}.to-${client}.sse`);
}

export function othersThan(dialect: DialectName): DialectName[] {
  return dialectNames.filter((name) => name !== dialect);
}
