import { models } from "./answers.ts";

/** The three loads of issue 4. The bodies have about 230 bytes, as those of the baselines. */

export type LoadName = "json" | "sse" | "paced";

export interface Load {
  readonly name: LoadName;
  readonly text: string;
  readonly body: string;
  /** Connections that ask again at once; of paced streams so many run at a time, 100 a second. */
  readonly connections: number;
}

function bodyOf(model: string, stream: boolean): string {
  return JSON.stringify({
    model,
    max_tokens: 200,
    ...(stream ? { stream: true, stream_options: { include_usage: true } } : {}),
    messages: [
      { role: "system", content: "You are a helpful assistant that answers in one short sentence." },
      { role: "user", content: "What is the capital of the country in which the river Loire ends?" },
    ],
  });
}

export const bodies = {
  json: bodyOf(models.fast, false),
  sse: bodyOf(models.fast, true),
  paced: bodyOf(models.paced, true),
  slow: bodyOf(models.slow, true),
  flood: bodyOf(models.flood, true),
} as const;

export const loads: readonly Load[] = [
  { name: "json", text: "plain JSON", body: bodies.json, connections: 64 },
  { name: "sse", text: "SSE, 100 chunks at full speed", body: bodies.sse, connections: 64 },
  { name: "paced", text: "SSE, a chunk each 10 ms, 100 streams a second", body: bodies.paced, connections: 100 },
];
