import type { AccountId } from "@codex/kernel";
import { createHmac, createPrivateKey, createPublicKey, type KeyObject } from "node:crypto";
import { authConfig, authMigrations, authSchema, start } from "../src/index.ts";
import { startHarness, type Answer, type Harness, type SendOptions } from "./_harness.ts";

export const signingSecret = "a1x9-Kq7_Zr4mT2wVb8nY5sLd3hGf6jPc0e";
export const password = "correct horse battery staple";

export const secrets: Readonly<Record<string, string>> = {
  AUTH_SIGNING_SECRET: signingSecret,
  AUTH_PASSWORD_PEPPER: "b1x9-Kq7_Zr4mT2wVb8nY5sLd3hGf6jPc0e",
  AUTH_THROTTLE_KEY: "c1x9-Kq7_Zr4mT2wVb8nY5sLd3hGf6jPc0e",
};

export function startAuth(): Promise<Harness> {
  return startHarness({
    name: "auth",
    schema: authSchema,
    migrations: authMigrations,
    config: authConfig,
    start,
    settings: secrets,
    isAuth: true,
  });
}

let addresses = 0;
/** Throttles count by address over the whole run, because Redis is shared: each caller that fails on purpose has its own. */
export function freshAddress(): string {
  addresses += 1;
  const host = [process.pid >> 8, process.pid, addresses].map((part) => String(part & 0xff));
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

export async function register(world: Harness, email: string = freshEmail()): Promise<SignedIn> {
  const answer = await world.send("POST", "/api/auth/register", { body: { email, password } });
  if (answer.status !== 201) throw new Error(`register refused: ${answer.text}`);
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
