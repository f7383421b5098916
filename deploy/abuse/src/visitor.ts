import { demoMailbox, recoveryCodes as recoveryCodesSchema, totpEnrolment } from "@codex/contracts";
import type { AccountId } from "@codex/kernel";
import { eventually } from "@codex/testkit";
import { Secret, TOTP } from "otpauth";
import type { Pool } from "undici";
import { z } from "zod";

/**
 * Glossary
 *   visitor   a browser as the services see it: one origin, its cookies, the headers of a page of that origin
 *   answer    what came back, whole, so that two of them can be compared byte by byte
 */

export const password = "correct horse battery staple";

export interface Answer {
  readonly status: number;
  /** Lower-case names; repeated ones joined by newlines. */
  readonly headers: Readonly<Record<string, string>>;
  readonly text: string;
}

export interface Ask {
  readonly method: string;
  /** With the query. */
  readonly path: string;
  /** Over the headers of a page of ours; null takes one away. Values are sent as they are. */
  readonly headers?: Readonly<Record<string, string | null>>;
  /** Sent as it is, with the content type of JSON unless the headers say otherwise. */
  readonly body?: string | Uint8Array;
}

/** A password hash waits its turn behind fifty others on a loaded machine. */
const answerTimeoutMs = 180_000;

export async function send(pool: Pool, ask: Ask): Promise<Answer> {
  const headers: Record<string, string> = ask.body === undefined ? {} : { "content-type": "application/json" };
  for (const [name, value] of Object.entries(ask.headers ?? {})) {
    if (value === null) Reflect.deleteProperty(headers, name);
    else headers[name] = value;
  }
  const response = await pool.request({
    // undici knows the ordinary verbs by type; others are sent all the same.
    method: ask.method as "GET",
    path: ask.path,
    headers,
    body: ask.body ?? null,
    headersTimeout: answerTimeoutMs,
    bodyTimeout: answerTimeoutMs,
  });
  const text = await response.body.text();
  const pairs = Object.entries(response.headers).map(([name, value]) => [
    name,
    Array.isArray(value) ? value.join("\n") : (value ?? ""),
  ]);
  return { status: response.statusCode, headers: Object.fromEntries(pairs) as Record<string, string>, text };
}

/** The answer without what is new in each: ids of the request and the time. Two that nobody may tell apart are equal in it. */
export function comparable({ status, headers, text }: Answer): string {
  const kept = Object.entries(headers).filter(([name]) => !["x-request-id", "request-id", "date"].includes(name));
  return JSON.stringify([status, kept.toSorted(), text.replaceAll(/req_[0-9a-z]{26}/g, "req_")]);
}

const problemCode = z.object({ code: z.string() });

/** The machine word of a refusal in problem+json; undefined for anything else. */
export function codeOf({ text }: Answer): string | undefined {
  return problemCode.safeParse(jsonOf(text)).data?.code;
}

export function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

export class Visitor {
  readonly origin: string;
  readonly email: string;
  totpSecret: string | undefined;
  private account: AccountId | undefined;
  private readonly pool: Pool;
  private readonly jar = new Map<string, string>();

  constructor(pool: Pool, origin: string, email: string) {
    this.pool = pool;
    this.origin = origin;
    this.email = email;
  }

  /** Throws before the visitor has registered. */
  get accountId(): AccountId {
    if (this.account === undefined) throw new Error(`${this.email} has no account`);
    return this.account;
  }

  /** As the header says it; undefined before any was set. */
  get cookie(): string | undefined {
    return this.jar.size === 0 ? undefined : [...this.jar].map(([name, value]) => `${name}=${value}`).join("; ");
  }

  /** Of the session alone, in the form of the header. */
  get session(): string {
    return `__Host-cx=${this.jar.get("__Host-cx") ?? ""}`;
  }

  setCookie(name: string, value: string): void {
    this.jar.set(name, value);
  }

  /** A second browser of nobody, at the same origin. */
  another(email = this.email): Visitor {
    return new Visitor(this.pool, this.origin, email);
  }

  /** With the cookies of this browser, which take over what the answer sets. */
  async ask(method: string, path: string, body?: unknown, headers: Ask["headers"] = {}): Promise<Answer> {
    const answer = await this.askRaw({
      method,
      path,
      headers,
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    for (const line of answer.headers["set-cookie"]?.split("\n") ?? []) {
      const [pair = ""] = line.split(";");
      const at = pair.indexOf("=");
      this.jar.set(pair.slice(0, at), pair.slice(at + 1));
    }
    return answer;
  }

  /** The same, and the cookies stay as they are. */
  askRaw(ask: Ask): Promise<Answer> {
    const own = {
      origin: this.origin,
      "x-cx-csrf": "1",
      ...(this.cookie === undefined ? {} : { cookie: this.cookie }),
    };
    return send(this.pool, { ...ask, headers: { ...own, ...ask.headers } });
  }

  /** Parses the answer of a call that has to succeed. Throws with what it said otherwise. */
  async must<S extends z.ZodType>(
    schema: S,
    method: string,
    path: string,
    body?: unknown,
    headers: Ask["headers"] = {},
  ): Promise<z.output<S>> {
    const answer = await this.ask(method, path, body, headers);
    if (answer.status >= 300) throw new Error(`${method} ${path} answered ${String(answer.status)}: ${answer.text}`);
    return schema.parse(answer.text === "" ? undefined : JSON.parse(answer.text));
  }

  /** Registers, opens the mailed link and is signed in by it. */
  async register(): Promise<this> {
    const { consents } = await this.must(
      z.looseObject({ consents: z.array(z.unknown()) }),
      "GET",
      "/api/auth/registration",
    );
    await this.must(z.unknown(), "POST", "/api/auth/register", { email: this.email, password, consents });
    const token = await this.mailed("/verify");
    const signedIn = z.looseObject({ account: z.looseObject({ accountId: z.string() }) });
    const { account } = await this.must(signedIn, "POST", "/api/auth/verify", { token, password });
    this.account = account.accountId as AccountId;
    return this;
  }

  /** The token of the newest mail whose link leads to this page, but not `other`. */
  mailed(page: string, other?: string, to = this.email): Promise<string> {
    return eventually(
      async () => {
        const { mails } = await this.must(demoMailbox, "GET", `/api/auth/mailbox?to=${encodeURIComponent(to)}`);
        const tokens = mails.map(({ text }) => new RegExp(`${page}#([\\w-]{43})`).exec(text)?.[1]);
        return tokens.find((token) => token !== undefined && token !== other);
      },
      { timeoutMs: 60_000, what: `a mail to ${to} with a link to ${page}` },
    );
  }

  /** By password, and the second factor where there is one. */
  async signIn(): Promise<void> {
    const ticketOf = z.looseObject({ secondFactor: z.looseObject({ ticket: z.string() }).optional() });
    const body = { email: this.email, password };
    const { secondFactor } = await this.must(ticketOf, "POST", "/api/auth/sign-in", body);
    if (!secondFactor) return;
    const proof = { totp: this.totp() };
    await this.must(z.unknown(), "POST", "/api/auth/sign-in/second-factor", { ticket: secondFactor.ticket, proof });
  }

  /** A password given anew: for five minutes sensitive acts are open. */
  async prove(): Promise<void> {
    await this.must(z.unknown(), "POST", "/api/auth/reauthenticate", { password });
  }

  /** An authenticator app; without one an operator has no rights. Answers the recovery codes. */
  async enrolTotp(): Promise<readonly string[]> {
    const { secret } = await this.must(totpEnrolment, "POST", "/api/auth/totp");
    this.totpSecret = secret;
    // The step before this one: the current code is still to be used.
    const confirmed = await this.must(recoveryCodesSchema, "POST", "/api/auth/totp/confirm", { code: this.totp(-1) });
    return confirmed.recoveryCodes;
  }

  /** What the app shows, steps of thirty seconds from now. */
  totp(stepsAhead = 0): string {
    const secret = Secret.fromBase32(this.totpSecret ?? "");
    return new TOTP({ secret }).generate({ timestamp: Date.now() + stepsAhead * 30_000 });
  }
}
