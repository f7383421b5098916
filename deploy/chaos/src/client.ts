import http from "node:http";
import type { Customer } from "./database.ts";

/** One chat request as a client sees it. */
export interface Ask {
  readonly gateway: string;
  readonly url: string;
  readonly customer: Customer;
  readonly model: string;
  readonly stream: boolean;
  readonly maxTokens: number;
  readonly words: string;
  /** The client leaves after so long, whatever has come; undefined = it stays. */
  readonly leaveAfterMs: number | undefined;
}

export interface Observation {
  readonly gateway: string;
  readonly accountId: string;
  readonly model: string;
  readonly stream: boolean;
  readonly startedAtMs: number;
  readonly endedAtMs: number;
  /** As the gateway said it; undefined when no header arrived. */
  readonly requestId: string | undefined;
  readonly status: number | undefined;
  readonly bytes: number;
  /** The client has the whole answer: status 200 and its proper end. */
  readonly whole: boolean;
  readonly left: boolean;
  /** Why there is no whole answer, when it was not the status. */
  readonly problem: string | undefined;
}

/** No client waits longer for the next byte. */
const patienceMs = 20_000;
const tailBytes = 256;
const done = "data: [DONE]";

export class Client {
  private readonly agent = new http.Agent({ keepAlive: true, maxSockets: 512, maxFreeSockets: 64 });

  /** Never rejects: whatever happens is the observation. */
  ask(ask: Ask): Promise<Observation> {
    return new Promise((resolve) => {
      new Conversation(ask, this.agent, resolve).begin();
    });
  }

  close(): void {
    this.agent.destroy();
  }
}

class Conversation {
  private readonly ask: Ask;
  private readonly agent: http.Agent;
  private readonly resolve: (observation: Observation) => void;
  private readonly startedAtMs = Date.now();
  private requestId: string | undefined;
  private status: number | undefined;
  private bytes = 0;
  private tail = "";
  private left = false;
  private ended = false;
  private leaving: NodeJS.Timeout | undefined;

  constructor(ask: Ask, agent: http.Agent, resolve: (observation: Observation) => void) {
    this.ask = ask;
    this.agent = agent;
    this.resolve = resolve;
  }

  begin(): void {
    const { url, customer, model, stream, maxTokens, words, leaveAfterMs } = this.ask;
    const body = JSON.stringify({
      model,
      stream,
      max_tokens: maxTokens,
      ...(stream ? { stream_options: { include_usage: true } } : {}),
      messages: [{ role: "user", content: words }],
    });
    const request = http.request(`${url}/v1/chat/completions`, {
      method: "POST",
      agent: this.agent,
      timeout: patienceMs,
      headers: {
        authorization: `Bearer ${customer.apiKey}`,
        "content-type": "application/json",
        "content-length": Buffer.byteLength(body),
      },
    });
    request.on("timeout", () => request.destroy(new Error("no byte for 20 s")));
    request.on("error", (error) => this.end(false, this.left ? undefined : error.message));
    request.on("response", (response) => this.read(response));
    if (leaveAfterMs !== undefined) {
      this.leaving = setTimeout(() => {
        this.left = true;
        request.destroy();
      }, leaveAfterMs);
    }
    request.end(body);
  }

  private read(response: http.IncomingMessage): void {
    const id = response.headers["x-request-id"];
    this.requestId = typeof id === "string" ? id : undefined;
    this.status = response.statusCode;
    response.on("data", (piece: Buffer) => {
      this.bytes += piece.length;
      this.tail = (this.tail + piece.toString("latin1")).slice(-tailBytes);
    });
    response.on("error", (error) => this.end(false, this.left ? undefined : error.message));
    response.on("close", () => {
      const proper = response.complete && this.status === 200 && (!this.ask.stream || this.tail.includes(done));
      this.end(proper, proper || this.left ? undefined : "the answer has no proper end");
    });
  }

  private end(whole: boolean, problem: string | undefined): void {
    if (this.ended) return;
    this.ended = true;
    clearTimeout(this.leaving);
    const { gateway, customer, model, stream } = this.ask;
    const { startedAtMs, requestId, status, bytes, left } = this;
    const endedAtMs = Date.now();
    const { accountId } = customer;
    this.resolve({
      gateway,
      accountId,
      model,
      stream,
      startedAtMs,
      endedAtMs,
      requestId,
      status,
      bytes,
      whole,
      left,
      problem: status === undefined || status === 200 ? problem : undefined,
    });
  }
}
