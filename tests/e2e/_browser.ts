import { parseAmount, type AccountId } from "@codex/kernel";

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

  get(path: string): Promise<Answer> {
    return this.send("GET", path);
  }

  post(path: string, body?: unknown): Promise<Answer> {
    return this.send("POST", path, body);
  }

  patch(path: string, body: unknown): Promise<Answer> {
    return this.send("PATCH", path, body);
  }

  /** Returns the new account's id. */
  async register(email: string): Promise<AccountId> {
    const answer = await this.post("/api/auth/register", { email, password });
    if (answer.status !== 201) throw new Error(`register refused: ${JSON.stringify(answer.body)}`);
    return (answer.body as { account: { accountId: AccountId } }).account.accountId;
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
