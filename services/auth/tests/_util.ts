import { demoMailbox, recoveryCodes as recoveryCodesSchema, totpEnrolment } from "@codex/contracts";
import type { AccountId } from "@codex/kernel";
import { eventually } from "@codex/testkit";
import { createHmac, createPrivateKey, createPublicKey, type KeyObject } from "node:crypto";
import { Secret, TOTP } from "otpauth";
import { authConfig, authMigrations, authSchema, start } from "../src/index.ts";
import { startHarness, type Answer, type Harness, type SendOptions } from "./_harness.ts";

export const signingSecret = "a1x9-Kq7_Zr4mT2wVb8nY5sLd3hGf6jPc0e";
export const password = "correct horse battery staple";

export const secrets: Readonly<Record<string, string>> = {
  AUTH_SIGNING_SECRET: signingSecret,
  AUTH_PASSWORD_PEPPER: "b1x9-Kq7_Zr4mT2wVb8nY5sLd3hGf6jPc0e",
  AUTH_THROTTLE_KEY: "c1x9-Kq7_Zr4mT2wVb8nY5sLd3hGf6jPc0e",
  AUTH_DATA_KEY: "f1x9-Kq7_Zr4mT2wVb8nY5sLd3hGf6jPc0e",
};

/** Mails are read from the mailbox of a demo; every test registers from addresses of its own, but not from networks. */
const testSettings: Readonly<Record<string, string>> = {
  ...secrets,
  AUTH_MAIL: "mailbox",
  AUTH_MAILS_PER_NETWORK_PER_HOUR: "100000",
};

/** What the settings have by default; a third of a second of one core a password. */
export const ownCost = 12;

/**
 * With bcrypt's least cost, which no setting allows: most tests need somebody who is signed in and not what a hash costs.
 * Those that do say so.
 */
export function startAuth(settings: Readonly<Record<string, string>> = {}, bcryptCost = 4): Promise<Harness> {
  return startHarness({
    name: "auth",
    schema: authSchema,
    migrations: authMigrations,
    config: authConfig,
    start: (context) => start({ ...context, config: { ...context.config, bcryptCost } }),
    settings: { ...testSettings, ...settings },
    isAuth: true,
  });
}

let addresses = 0;
/** Throttles count by address over the whole run, because Redis is shared: each caller that fails on purpose has its own. */
export function freshAddress(): string {
  addresses += 1;
  // Another network each time, because networks are what is counted.
  const host = [process.pid, addresses, process.pid >> 8].map((part) => String(part & 0xff));
  return `10.${host.join(".")}`;
}

let people = 0;
export function freshEmail(): string {
  people += 1;
  return `person${String(people)}.${Date.now().toString(36)}@example.org`;
}

export interface SignedIn {
  readonly answer: Answer;
  readonly cookie: string;
  readonly accountId: AccountId;
}

export function cookieOf(answer: Answer): string {
  return answer.headers.getSetCookie()[0]?.split(";")[0] ?? "";
}

/** What a new customer has to agree to by default. */
export const consents = [
  { document: "terms", version: "1" },
  { document: "personal-data", version: "1" },
];

export interface ReadMail {
  readonly subject: string;
  readonly text: string;
  /** The token behind `#` of the link, if there is one. */
  readonly token: string;
}

/** The newest mail to this address that satisfies `wanted`, once it is there. */
export async function mailTo(world: Harness, email: string, wanted: (mail: ReadMail) => boolean): Promise<ReadMail> {
  return eventually(async () => (await mailsTo(world, email)).find(wanted), { what: `a mail to ${email}` });
}

/** Newest first. */
export async function mailsTo(world: Harness, email: string): Promise<readonly ReadMail[]> {
  const answer = await world.send("GET", `/api/auth/mailbox?to=${encodeURIComponent(email)}`);
  const { mails } = demoMailbox.parse(answer.body);
  return mails.map(({ subject, text }) => ({ subject, text, token: /#([\w-]{43})/.exec(text)?.[1] ?? "" }));
}

export const isAbout =
  (page: string) =>
  ({ text }: ReadMail): boolean =>
    text.includes(`${page}#`);

/** Registers, opens the mailed link and signs in by it. */
export async function register(world: Harness, email: string = freshEmail()): Promise<SignedIn> {
  const asked = await world.send("POST", "/api/auth/register", { body: { email, password, consents } });
  if (asked.status !== 202) throw new Error(`register refused: ${asked.text}`);
  const { token } = await mailTo(world, email.toLowerCase(), isAbout("/verify"));
  const answer = await world.send("POST", "/api/auth/verify", { body: { token, password } });
  if (answer.status !== 201) throw new Error(`verify refused: ${answer.text}`);
  const { account } = answer.body as { account: { accountId: AccountId } };
  return { answer, cookie: cookieOf(answer), accountId: account.accountId };
}

export function signIn(
  world: Harness,
  email: string,
  given: string = password,
  options: SendOptions & { readonly from?: string } = {},
): Promise<Answer> {
  return world.send("POST", "/api/auth/sign-in", {
    ...options,
    body: { email, password: given },
    headers: { "x-forwarded-for": options.from ?? freshAddress() },
  });
}

/** The key pair that auth derives from a signing secret, for making tokens that it never would. */
export function sessionKeys(secret: string): { readonly privateKey: KeyObject; readonly publicKey: KeyObject } {
  const seed = createHmac("sha256", secret).update("codex session signing key v1").digest();
  const prefix = Buffer.from("302e020100300506032b657004220420", "hex");
  const privateKey = createPrivateKey({ key: Buffer.concat([prefix, seed]), format: "der", type: "pkcs8" });
  return { privateKey, publicKey: createPublicKey(privateKey) };
}

/** What an authenticator app with this secret shows, steps of thirty seconds from now. */
export function totpOf(secret: string, stepsAhead = 0): string {
  const timestamp = Date.now() + stepsAhead * 30_000;
  return new TOTP({ secret: Secret.fromBase32(secret) }).generate({ timestamp });
}

export interface Enrolled {
  readonly cookie: string;
  readonly secret: string;
  readonly recoveryCodes: readonly string[];
}

/** Sets up an authenticator app in this session, which another takes the place of. */
export async function enrolTotp(world: Harness, cookie: string): Promise<Enrolled> {
  const begun = await world.send("POST", "/api/auth/totp", { cookie });
  const { secret } = totpEnrolment.parse(begun.body);
  // The step before this one: whoever signs in next has the current code still to use.
  const confirmed = await world.send("POST", "/api/auth/totp/confirm", { cookie, body: { code: totpOf(secret, -1) } });
  if (confirmed.status !== 200) throw new Error(`no second factor: ${confirmed.text}`);
  return { cookie: cookieOf(confirmed), secret, ...recoveryCodesSchema.parse(confirmed.body) };
}
