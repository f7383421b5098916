import type { ChannelKind, ModelPrice } from "@codex/contracts";
import type { ServerResponse } from "node:http";
import { folded, recording, type Json, type Wire } from "./_conversations.ts";
import { ScriptedUpstream, type Script, type UpstreamCallSeen } from "./_scripted-upstream.ts";
import { asOperator, priceOf, send, startWorld, type Answer, type World } from "./_world.ts";

/** A gateway whose channels are of several vendors' kinds, all of them at one upstream that plays recordings in its dialect. */

export type Client = "chat" | "messages" | "responses";

/** Which kind is asked in which dialect, when it is asked for a conversation that it does not speak. */
export const kindFor: Readonly<Record<Wire, ChannelKind>> = {
  chat: "openai-compatible",
  messages: "anthropic",
  responses: "openai",
  gemini: "gemini",
};

/** Every pair of a client's dialect and another one that a channel is asked in. */
export const pairs: readonly (readonly [Client, Wire])[] = [
  ["chat", "messages"],
  ["chat", "gemini"],
  ["messages", "responses"],
  ["messages", "chat"],
  ["messages", "gemini"],
  ["responses", "messages"],
  ["responses", "chat"],
  ["responses", "gemini"],
];

export const clientPath = {
  chat: "/v1/chat/completions",
  messages: "/v1/messages",
  responses: "/v1/responses",
} as const satisfies Record<Client, string>;

/** The least that each client can ask. */
export function leastRequest(client: Client, model: string): Json {
  if (client === "responses") return { model, input: "hi" };
  const messages = [{ role: "user", content: "hi" }];
  return client === "chat" ? { model, messages } : { model, messages, max_tokens: 500 };
}

export const modelAt = (wire: Wire): string => `model-at-${wire}`;

/** A price for each class, so that a token in the wrong one shows. */
const rates = {
  input: 1_000_000_000n,
  cachedInput: 100_000_000n,
  cacheWrite: 1_250_000_000n,
  cacheWrite1h: 2_000_000_000n,
  output: 5_000_000_000n,
  reasoning: 7_000_000_000n,
};

export interface ConversionWorld extends World {
  readonly scripted: ScriptedUpstream;
  readonly apiKey: string;
  ask(client: Client, model: string, more?: Json, headers?: Readonly<Record<string, string>>): Promise<Answer>;
  connect(kind: ChannelKind, models: readonly string[], more?: Json): Promise<string>;
}

/** `extra`: priced models without a channel. */
export async function startConversionWorld(
  extra: readonly (string | ModelPrice)[] = [],
  settings: Readonly<Record<string, string>> = {},
): Promise<ConversionWorld> {
  const scripted = await ScriptedUpstream.start();
  const wires = Object.keys(kindFor) as Wire[];
  const names = [...wires.map(modelAt), "model-at-azure"];
  const priced = [...extra, ...names.map((name) => priceOf(name, { rates }))];
  const world = await startWorld({ GATEWAY_REQUESTS_PER_MINUTE: "100000", ...settings }, [], priced);
  const { apiKey } = world.customer(10n ** 14n);
  let made = 0;
  const connect = async (kind: ChannelKind, models: readonly string[], more: Json = {}): Promise<string> => {
    made += 1;
    const name = `${kind}-${String(made)}`;
    const created = await send(world.gateway, "POST", "/api/gateway/channels", {
      headers: asOperator(world.auth),
      body: {
        name,
        kind,
        egress: "private",
        baseUrl: scripted.url,
        secret: `sk-${name}`,
        models: Object.fromEntries(models.map((model) => [model, `up-${model}`])),
        priority: 20,
        ...more,
      },
    });
    if (created.status !== 201) throw new Error(created.text);
    return name;
  };
  for (const wire of wires) await connect(kindFor[wire], [modelAt(wire)]);
  return {
    ...world,
    scripted,
    apiKey,
    connect,
    ask: (client, model, more = {}, headers = {}) =>
      send(world.gateway, "POST", clientPath[client], {
        headers: { authorization: `Bearer ${apiKey}`, ...headers },
        body: { ...leastRequest(client, model), ...more },
      }),
    async stop() {
      await world.stop();
      await scripted.close();
    },
  };
}

/** The dialect that a call is in, by where it went. */
export function wireOf({ path }: Pick<UpstreamCallSeen, "path">): Wire {
  if (path.includes(":generateContent") || path.includes(":streamGenerateContent")) return "gemini";
  return path.endsWith("/messages") ? "messages" : path.endsWith("/responses") ? "responses" : "chat";
}

export function asksForStream({ path, body }: Pick<UpstreamCallSeen, "path" | "body">): boolean {
  return body["stream"] === true || path.includes(":streamGenerateContent");
}

/** Answers with the recording of this name, as a stream or as the whole answer that the stream amounts to. */
export function play(name: string): Script {
  return (call, res) => {
    const wire = wireOf(call);
    if (asksForStream(call)) sendEvents(res, recording(wire, name));
    else sendJson(res, folded(wire, recording(wire, name)));
  };
}

export function sendEvents(res: ServerResponse, text: string): void {
  res.writeHead(200, { "content-type": "text/event-stream" });
  res.end(text);
}

export function sendJson(res: ServerResponse, body: Json): void {
  res.writeHead(200, { "content-type": "application/json" });
  res.end(JSON.stringify(body));
}
