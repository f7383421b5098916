import { grantCommand } from "@codex/contracts";
import { newId, type AccountId } from "@codex/kernel";
import { eventually, findChromium } from "@codex/testkit";
import pg from "pg";
import {
  chromium,
  type Browser as Chromium,
  type BrowserContext,
  type BrowserContextOptions,
  type Page,
} from "playwright-core";
import { Browser, password } from "../e2e/_browser.ts";
import { startWorld, type World, type WorldOptions } from "../e2e/_world.ts";

/**
 * The whole platform and a real Chromium before it. A visitor is a browser profile of its own that writes down everything
 * that no page of ours may do: errors on the console, violations of the policy, requests to a foreign origin.
 */

export type Language = "ru" | "en";

export interface Stage {
  readonly world: World;
  visitor(options?: VisitorOptions): Promise<Visitor>;
  /** As the owner of the database, for what only time or an accident would bring about. */
  sql(text: string, values?: readonly unknown[]): Promise<readonly Record<string, unknown>[]>;
  /** As if everybody had proved who it is six minutes ago. */
  ageProofs(): Promise<void>;
  /** An address that nobody has yet: "visitor1@example.org". */
  newEmail(prefix: string): string;
  /** An account made beside the pages, and the client that is signed in to it. */
  account(email: string): Promise<Person>;
  /** As {@link account}, of a role and with its second factor. */
  operator(email: string, role: "support" | "admin"): Promise<Person>;
  /** Money by the bus, as other services send it. */
  grant(accountId: AccountId, amountMicroTokens: bigint): Promise<void>;
  stop(): Promise<void>;
}

export interface Person {
  readonly email: string;
  readonly accountId: AccountId;
  readonly browser: Browser;
}

export interface VisitorOptions extends BrowserContextOptions {
  readonly language?: Language;
}

/** Chromium's own line for an answer of 4xx or 5xx; whoever is not signed in is told so with a 401. */
const signedOut = /status of 401 .*\/api\/auth\/me$/;

export async function startStage(options: WorldOptions = {}): Promise<Stage> {
  const executablePath = await findChromium((line) => void process.stderr.write(`${line}\n`));
  const world = await startWorld(options);
  const asRoot = process.getuid?.() === 0;
  const browser = await chromium.launch({
    executablePath,
    args: [
      ...(asRoot ? ["--no-sandbox"] : []),
      "--disable-gpu",
      "--disable-dev-shm-usage",
      "--disable-quic",
      "--no-first-run",
      "--disable-background-networking",
      "--disable-component-update",
      "--disable-sync",
    ],
  });
  const sql: Stage["sql"] = async (text, values = []) => {
    const client = new pg.Client({ connectionString: world.database.adminUrl });
    await client.connect();
    try {
      return (await client.query<Record<string, unknown>>(text, [...values])).rows;
    } finally {
      await client.end();
    }
  };
  let people = 0;
  const account: Stage["account"] = (email) => newPerson(world.origin, email);
  return {
    world,
    newEmail: (prefix) => `${prefix}${String((people += 1))}@example.org`,
    account,
    async operator(email, role) {
      const person = await account(email);
      // The command that does it on a machine takes a process of its own; it makes the world's first operator.
      await sql("update auth.account set role = $2 where email = $1", [email, role]);
      await person.browser.enrolTotp();
      return person;
    },
    visitor: (visitorOptions) => newVisitor(browser, world.origin, visitorOptions),
    sql,
    async ageProofs() {
      await sql("update auth.session set authenticated_at = now() - interval '6 minutes'");
    },
    async grant(accountId, amountMicroTokens) {
      const idempotencyKey = newId("evt");
      const data = {
        accountId,
        bucket: "paid" as const,
        amountMicroTokens,
        reason: "operator_grant" as const,
        idempotencyKey,
      };
      await world.bus.publish(grantCommand, { params: { accountId }, data });
    },
    async stop() {
      await browser.close();
      await world.stop();
    },
  };
}

export interface Visitor {
  readonly context: BrowserContext;
  readonly page: Page;
  /** What happened and must not; a test ends with none. */
  readonly faults: string[];
  /** A fault that this test brings about itself. */
  allow(fault: RegExp): void;
  open(path: string): Promise<void>;
  /** By the form and the mailed link; returns the new account's id and leaves the visitor on the overview. */
  signUp(email: string): Promise<AccountId>;
  /** Takes up the session of somebody made beside the pages, and opens the overview. */
  enter(person: Person): Promise<void>;
  /** As {@link signUp}, beside the pages. */
  join(email: string): Promise<AccountId>;
  /** By the form, on the page that is open. */
  signIn(email: string, secret?: string): Promise<void>;
  /** Status of an answer to this page's own cookie. */
  status(path: string): Promise<number>;
  /** What a reader sees, with plain spaces. */
  text(selector?: string): Promise<string>;
  sees(what: string | RegExp, timeoutMs?: number): Promise<void>;
  close(): Promise<void>;
}

async function newPerson(origin: string, email: string): Promise<Person> {
  const browser = new Browser(origin);
  return { email, browser, accountId: await browser.register(email) };
}

async function newVisitor(browser: Chromium, origin: string, options: VisitorOptions = {}): Promise<Visitor> {
  const { language, ...contextOptions } = options;
  const context = await browser.newContext({
    reducedMotion: "reduce",
    viewport: { width: 1280, height: 800 },
    ...contextOptions,
  });
  const faults: string[] = [];
  const allowed: RegExp[] = [signedOut];
  const fault = (text: string): void => {
    if (!allowed.some((pattern) => pattern.test(text))) faults.push(text);
  };
  await watch(context, origin, fault);
  if (language !== undefined) {
    // Only when nothing is stored yet: a later choice of the reader stays.
    await context.addInitScript(
      `if (location.protocol === "http:") localStorage.getItem("codex.language") ?? localStorage.setItem("codex.language", "${language}")`,
    );
  }
  const page = await context.newPage();
  page.setDefaultTimeout(30_000);
  const text = async (selector = "body"): Promise<string> =>
    (await page.locator(selector).first().innerText()).replace(/\s+/g, " ");
  const enter: Visitor["enter"] = async ({ browser: { sessionCookie } }) => {
    const [name, value] = sessionCookie?.split("=") ?? [];
    if (name === undefined || value === undefined) throw new Error("nobody is signed in");
    const url = origin.replace("http:", "https:");
    await context.addCookies([{ name, value, url, secure: true, httpOnly: true, sameSite: "Strict" }]);
    await page.goto(`${origin}/`);
    await page.getByTestId("available").waitFor();
  };
  const submit = async (email: string, secret: string): Promise<void> => {
    await page.locator("input[type=email]").fill(email);
    await page.locator("input[autocomplete$=password]").fill(secret);
    await page.locator("button[type=submit]").click();
  };
  return {
    context,
    page,
    faults,
    allow: (pattern) => void allowed.push(pattern),
    async open(path) {
      await page.goto(`${origin}${path}`, { waitUntil: "load" });
    },
    async signUp(email) {
      await page.goto(`${origin}/sign-up`);
      await page.locator("input[type=email]").waitFor();
      for (const box of await page.locator("input[type=checkbox]").all()) await box.check();
      await submit(email, password);
      await page.getByRole("status").waitFor();
      const token = await new Browser(origin).mailedToken(email, "/verify");
      await page.goto(`${origin}/verify#${token}`);
      await page.locator("input[autocomplete$=password]").fill(password);
      const [answer] = await Promise.all([
        page.waitForResponse((response) => response.url().endsWith("/api/auth/verify")),
        page.locator("button[type=submit]").click(),
      ]);
      const { account } = (await answer.json()) as { account: { accountId: AccountId } };
      await page.waitForURL(`${origin}/`);
      return account.accountId;
    },
    enter,
    async join(email) {
      const person = await newPerson(origin, email);
      await enter(person);
      return person.accountId;
    },
    signIn: (email, secret = password) => submit(email, secret),
    status: (path) => page.evaluate<number>(`fetch(${JSON.stringify(path)}).then((answer) => answer.status)`),
    text,
    async sees(what, timeoutMs = 30_000) {
      const seen = async (): Promise<boolean> => {
        const now = await text().catch(() => "");
        return typeof what === "string" ? now.includes(what) : what.test(now);
      };
      await eventually(seen, { timeoutMs, everyMs: 50, what: `the page to show ${String(what)}` });
    },
    close: () => context.close(),
  };
}

async function watch(context: BrowserContext, origin: string, fault: (text: string) => void): Promise<void> {
  await context.exposeBinding("codexViolation", (_source, text: string) => fault(`policy violated: ${text}`));
  await context.addInitScript(
    `addEventListener("securitypolicyviolation", (event) => codexViolation(event.effectiveDirective + " " + event.blockedURI + " " + event.sourceFile));`,
  );
  context.on("console", (message) => {
    if (message.type() === "error" || message.type() === "warning")
      fault(`console: ${message.text()} ${message.location().url}`);
  });
  context.on("weberror", (error) => fault(`uncaught: ${error.error().message}`));
  context.on("request", (request) => {
    const url = new URL(request.url());
    if (url.origin !== origin && url.protocol !== "data:" && url.protocol !== "blob:")
      fault(`foreign request: ${request.url()}`);
  });
}
