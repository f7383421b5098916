import { parseAmount, type AccountId } from "@codex/kernel";
import { eventually } from "@codex/testkit";
import { Secret, TOTP } from "otpauth";

export interface Answer {
  readonly status: number;
  readonly headers: Headers;
  readonly body: Readonly<Record<string, unknown>>;
}

export const password = "correct horse battery staple";

/** The part of a browser that the services see: one origin, one cookie, the headers of a same-origin page. */
export class Browser {
  readonly origin: string;
  private cookie: string | undefined;

  constructor(origin: string) {
    this.origin = origin;
  }

  /** "name=value" of the session, for another kind of browser; undefined before the sign-in. */
  get sessionCookie(): string | undefined {
    return this.cookie;
  }

  get(path: string): Promise<Answer> {
    return this.send("GET", path);
  }

  post(path: string, body?: unknown): Promise<Answer> {
    return this.send("POST", path, body);
  }

  patch(path: string, body: unknown): Promise<Answer> {
    return this.send("PATCH", path, body);
  }

  /** Registers, opens the mailed link and is signed in by it. Returns the new account's id. */
  async register(email: string): Promise<AccountId> {
    const { body: rules } = await this.get("/api/auth/registration");
    const asked = await this.post("/api/auth/register", { email, password, consents: rules["consents"] });
    if (asked.status !== 202) throw new Error(`register refused: ${JSON.stringify(asked.body)}`);
    const token = await this.mailedToken(email, "/verify");
    const answer = await this.post("/api/auth/verify", { token, password });
    if (answer.status !== 201) throw new Error(`verify refused: ${JSON.stringify(answer.body)}`);
    return (answer.body as { account: { accountId: AccountId } }).account.accountId;
  }

  /** The token of the newest mail to this address whose link leads to the page. */
  async mailedToken(email: string, page: string): Promise<string> {
    return eventually(
      async () => {
        const { body } = await this.get(`/api/auth/mailbox?to=${encodeURIComponent(email)}`);
        const { mails } = body as { mails: readonly { text: string }[] };
        const tokens = mails.map(({ text }) => new RegExp(`${page}#([\\w-]{43})`).exec(text)?.[1]);
        return tokens.find((token) => token !== undefined);
      },
      { timeoutMs: 30_000, what: `a mail to ${email}` },
    );
  }

  /** An authenticator app: without a second factor an operator has no rights. */
  async enrolTotp(): Promise<void> {
    const begun = await this.post("/api/auth/totp");
    const { secret } = begun.body as { secret: string };
    const code = new TOTP({ secret: Secret.fromBase32(secret) }).generate();
    const answer = await this.post("/api/auth/totp/confirm", { code });
    if (answer.status !== 200) throw new Error(`no second factor: ${JSON.stringify(answer.body)}`);
  }

  async signIn(email: string): Promise<void> {
    const answer = await this.post("/api/auth/sign-in", { email, password });
    if (answer.status !== 200) throw new Error(`sign-in refused: ${JSON.stringify(answer.body)}`);
  }

  /** The available balance in micro-tokens. */
  async available(): Promise<bigint | undefined> {
    const { body } = await this.get("/api/billing/balance");
    return typeof body["available"] === "string" ? parseAmount(body["available"]) : undefined;
  }

  private async send(method: string, path: string, body?: unknown): Promise<Answer> {
    const response = await fetch(`${this.origin}${path}`, {
      method,
      signal: AbortSignal.timeout(10_000),
      headers: {
        origin: this.origin,
        "x-cx-csrf": "1",
        ...(body === undefined ? {} : { "content-type": "application/json" }),
        ...(this.cookie === undefined ? {} : { cookie: this.cookie }),
      },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    const setCookie = response.headers.getSetCookie()[0];
    if (setCookie !== undefined) this.cookie = setCookie.split(";")[0];
    const text = await response.text();
    return {
      status: response.status,
      headers: response.headers,
      body: (text === "" ? {} : JSON.parse(text)) as Answer["body"],
    };
  }
}
