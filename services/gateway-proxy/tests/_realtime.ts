import type { ModelPrice, TokenCounts, UsageRecord } from "@codex/contracts";
import type { JournalEntry } from "@codex/demo-upstream";
import { eventually } from "@codex/testkit";
import type { IncomingMessage } from "node:http";
import WebSocket from "ws";
import { priceOf, type World } from "./_world.ts";

/** A realtime client as the vendor's own are: `ws`, and events as JSON. */

type Event = Readonly<Record<string, unknown>>;

export interface Ended {
  readonly code: number;
  readonly reason: string;
  readonly atMs: number;
}

export class RealtimeClient {
  readonly socket: WebSocket;
  readonly seen: Event[] = [];
  readonly ended: Promise<Ended>;
  readonly requestId: string;

  constructor(socket: WebSocket, requestId: string) {
    this.socket = socket;
    this.requestId = requestId;
    socket.on("message", (data) => this.seen.push(JSON.parse((data as Buffer).toString("utf8")) as Event));
    this.ended = new Promise((resolve) => {
      socket.once("close", (code, reason) =>
        resolve({ code, reason: reason.toString("utf8"), atMs: performance.now() }),
      );
    });
  }

  send(event: unknown): void {
    this.socket.send(typeof event === "string" ? event : JSON.stringify(event));
  }

  /** The n-th event of the type, once it has come. */
  next(type: string, nth = 1): Promise<Event> {
    return eventually(() => this.seen.filter((event) => event["type"] === type)[nth - 1], {
      what: `event ${String(nth)} of type ${type}`,
    });
  }

  /** No more events of the server's own accord: the client asks for each response. */
  async byHand(more: Readonly<Record<string, unknown>> = {}): Promise<void> {
    await this.next("session.created");
    const audio = { input: { turn_detection: null } };
    this.send({ type: "session.update", session: { type: "realtime", audio, ...more } });
    await this.next("session.updated");
  }

  say(text: string): void {
    const item = { type: "message", role: "user", content: [{ type: "input_text", text }] };
    this.send({ type: "conversation.item.create", item });
  }

  /** Milliseconds of noise, or of silence, of 24 kHz and 16 bit. */
  speak(ms: number, silent = false): void {
    const audio = Buffer.alloc(ms * 48, silent ? 0 : 7).toString("base64");
    this.send({ type: "input_audio_buffer.append", audio });
  }

  close(): void {
    this.socket.close(1000);
  }
}

export interface Refused {
  readonly status: number;
  readonly headers: IncomingMessage["headers"];
  readonly body: Readonly<Record<string, unknown>>;
}

export interface Dial {
  readonly apiKey?: string;
  readonly model?: string;
  readonly path?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly protocols?: readonly string[];
}

/** The open session, or the HTTP answer that refused it. */
export function dial(url: string, options: Dial): Promise<RealtimeClient | Refused> {
  const { apiKey, model = realtimeModel, path = `/v1/realtime?model=${encodeURIComponent(model)}` } = options;
  const headers = { ...(apiKey === undefined ? {} : { authorization: `Bearer ${apiKey}` }), ...options.headers };
  const socket = new WebSocket(`${url.replace(/^http/, "ws")}${path}`, [...(options.protocols ?? [])], {
    headers,
    handshakeTimeout: 20_000,
  });
  return new Promise((resolve, reject) => {
    let client: RealtimeClient | undefined;
    socket.once("upgrade", (answer) => {
      client = new RealtimeClient(socket, String(answer.headers["x-request-id"]));
    });
    socket.once("open", () => (client ? resolve(client) : reject(new Error("no upgrade"))));
    socket.once("unexpected-response", (_req, answer) => {
      let text = "";
      answer.setEncoding("utf8").on("data", (piece: string) => (text += piece));
      answer.once("end", () => {
        const body = JSON.parse(text) as Refused["body"];
        resolve({ status: answer.statusCode ?? 0, headers: answer.headers, body });
      });
    });
    socket.on("error", reject);
  });
}

/** The session; throws when it was refused. */
export async function open(world: World, options: Dial): Promise<RealtimeClient> {
  const answer = await dial(world.gateway.httpUrl ?? "", options);
  if (answer instanceof RealtimeClient) return answer;
  throw new Error(`refused with ${String(answer.status)}: ${JSON.stringify(answer.body)}`);
}

export async function refusal(world: World, options: Dial): Promise<Refused> {
  const answer = await dial(world.gateway.httpUrl ?? "", options);
  if (!(answer instanceof RealtimeClient)) return answer;
  answer.close();
  throw new Error("the session was accepted");
}

export const realtimeModel = "demo-realtime";

/** Micro-tokens a token: each class its own, and sound dearer than text, so that one in the wrong place shows in the cost. */
const textRates = { input: 40n, cachedInput: 4n, output: 160n };
const soundRates = { input: 320n, cachedInput: 13n, output: 640n };
const million = 1_000_000n;

function ratesOf({ input, cachedInput, output }: typeof textRates): ModelPrice["rates"] {
  return {
    input: input * million,
    cachedInput: cachedInput * million,
    cacheWrite: input * million,
    cacheWrite1h: input * million,
    output: output * million,
    reasoning: output * million,
  };
}

const soundRow = (model: string): string => `${model}:audio`;

/** The two rows of the price book. */
export function realtimePrices(model: string, more: Partial<ModelPrice> = {}): readonly [ModelPrice, ModelPrice] {
  return [
    priceOf(model, { rates: ratesOf(textRates), ...more }),
    priceOf(soundRow(model), { rates: ratesOf(soundRates), ...more }),
  ];
}

const tokensOf = (value: unknown): Readonly<Record<string, number>> =>
  (value ?? {}) as Readonly<Record<string, number>>;

/** What a usage object of the upstream costs by the price rows above, told in the test's own words. */
export function costOf(usage: JournalEntry["reportedUsage"]): bigint {
  const { text, sound } = classesOf(usage ?? {});
  const price = (counts: Pick<TokenCounts, "input" | "cachedInput" | "output">, rates: typeof textRates): bigint =>
    BigInt(counts.input) * rates.input +
    BigInt(counts.cachedInput) * rates.cachedInput +
    BigInt(counts.output) * rates.output;
  return price(text, textRates) + price(sound, soundRates);
}

export function classesOf(usage: Readonly<Record<string, unknown>>) {
  const input = tokensOf(usage["input_token_details"]);
  const cached = tokensOf(input["cached_tokens_details"]);
  const output = tokensOf(usage["output_token_details"]);
  const of = (name: string) => ({
    input: (input[name] ?? 0) - (cached[name] ?? 0),
    cachedInput: cached[name] ?? 0,
    output: output[name] ?? 0,
  });
  return { text: of("text_tokens"), sound: of("audio_tokens") };
}

/** The upstream's notes of the responses of a session, oldest first. */
export function notesOf(
  world: Pick<World, "upstream">,
  { requestId }: Pick<RealtimeClient, "requestId">,
): readonly JournalEntry[] {
  return world.upstream.journal.page(0, 10_000).entries.filter((entry) => entry.requestId === requestId);
}

/** Rows of the account, once there are as many as asked. */
export async function rowsOf(
  world: World,
  accountId: UsageRecord["accountId"],
  count: number,
): Promise<readonly UsageRecord[]> {
  return eventually(
    () => {
      const rows = world.billing.usage(accountId);
      return rows.length >= count && rows;
    },
    { what: `${String(count)} usage rows` },
  );
}

export const sum = (rows: readonly UsageRecord[]): bigint =>
  rows.reduce((total, { costMicroTokens }) => total + costMicroTokens, 0n);
