import type { z } from "zod";
import { Problem } from "./problem.ts";

const requestTimeoutMs = 10_000;

/** A browser's view of the public API: one origin, one session cookie, the headers that our own pages send. */
export class ApiClient {
  private readonly origin: string;
  private readonly signal: AbortSignal;
  private cookie: string | undefined;

  constructor(origin: string, signal: AbortSignal) {
    this.origin = origin;
    this.signal = signal;
  }

  /** The parsed body of a 2xx answer. Anything else is a {@link Problem} that names route, status and code. */
  async call<T>(method: "GET" | "POST", route: string, schema: z.ZodType<T>, body?: unknown): Promise<T> {
    const answer = await this.send(method, route, body);
    if (!answer.ok) throw new Problem(`${method} ${route} answered ${String(answer.status)}: ${codeOf(answer.text)}.`);
    return schema.parse(JSON.parse(answer.text));
  }

  /** As {@link call}, for requests whose refusal is expected: gives the status and the problem code. */
  async send(
    method: "GET" | "POST",
    route: string,
    body?: unknown,
  ): Promise<{ ok: boolean; status: number; text: string; code: string }> {
    const signal = AbortSignal.any([this.signal, AbortSignal.timeout(requestTimeoutMs)]);
    const answer = await fetch(`${this.origin}${route}`, {
      method,
      signal,
      headers: {
        accept: "application/json",
        origin: this.origin,
        "x-cx-csrf": "1",
        ...(this.cookie === undefined ? {} : { cookie: this.cookie }),
        ...(body === undefined ? {} : { "content-type": "application/json" }),
      },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    const text = await answer.text();
    const session = answer.headers.getSetCookie().find((line) => line.startsWith("__Host-"));
    if (session !== undefined) this.cookie = session.split(";")[0];
    return { ok: answer.ok, status: answer.status, text, code: codeOf(text) };
  }
}

function codeOf(text: string): string {
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value === "object" && value !== null && "code" in value) {
      const detail = "detail" in value ? ` (${String(value.detail)})` : "";
      return `${String(value.code)}${detail}`;
    }
  } catch {
    // Not JSON: shown as it is.
  }
  return text.slice(0, 200);
}
