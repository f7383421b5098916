import Anthropic from "@anthropic-ai/sdk";
import OpenAI from "openai";
import { readConfig } from "../src/config.ts";
import type { JournalEntry, JournalPage } from "../src/journal.ts";
import { startDemoUpstream, type RunningDemoUpstream } from "../src/server.ts";

/** A demo upstream without waits, unless the settings say otherwise. */
export function startFast(settings: Record<string, string> = {}): Promise<RunningDemoUpstream> {
  return startDemoUpstream(
    readConfig({
      DEMO_FIRST_BYTE_MS: "0",
      DEMO_TOKENS_PER_SECOND: "0",
      DEMO_SLOW_FIRST_BYTE_MS: "150",
      DEMO_SLOW_CHUNK_MS: "5",
      ...settings,
    }),
  );
}

export function openai(url: string, apiKey = "any"): OpenAI {
  return new OpenAI({ baseURL: `${url}/v1`, apiKey, maxRetries: 0, timeout: 10_000 });
}

export function anthropic(url: string, apiKey = "any"): Anthropic {
  return new Anthropic({ baseURL: url, apiKey, maxRetries: 0, timeout: 10_000 });
}

export interface PostOptions {
  readonly headers?: Record<string, string>;
  readonly signal?: AbortSignal;
}

export function post(url: string, path: string, body: unknown, options: PostOptions = {}): Promise<Response> {
  return fetch(`${url}${path}`, {
    method: "POST",
    headers: { "content-type": "application/json", authorization: "Bearer any", ...options.headers },
    body: typeof body === "string" ? body : JSON.stringify(body),
    ...(options.signal ? { signal: options.signal } : {}),
  });
}

/** Everything that arrives until the stream ends or breaks. */
export async function readToTheEnd(response: Response): Promise<{ text: string; broken: boolean }> {
  const decoder = new TextDecoder();
  let text = "";
  try {
    for await (const chunk of response.body as unknown as AsyncIterable<Uint8Array>) {
      text += decoder.decode(chunk, { stream: true });
    }
    return { text, broken: false };
  } catch {
    return { text, broken: true };
  }
}

export async function journal(url: string, since = 0): Promise<JournalPage> {
  const response = await fetch(`${url}/_demo/journal?since=${since}`);
  return (await response.json()) as JournalPage;
}

/** The entry of a request, polled for: it is written a moment after the answer. */
export async function journalEntry(url: string, requestId: string): Promise<JournalEntry> {
  const deadline = Date.now() + 5_000;
  for (;;) {
    const found = (await journal(url)).entries.find((entry) => entry.requestId === requestId);
    if (found) return found;
    if (Date.now() > deadline) throw new Error(`no journal entry for ${requestId} within 5 s`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

/** The data of every SSE event but [DONE]. */
export function eventsOf(text: string): Record<string, unknown>[] {
  return text
    .split(/\r?\n/)
    .filter((line) => line.startsWith("data: ") && line !== "data: [DONE]")
    .map((line) => JSON.parse(line.slice(6)) as Record<string, unknown>);
}
