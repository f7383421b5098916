import {
  accountResponse,
  demoMailbox,
  recoveryCodes,
  registrationRules,
  signInResponse,
  totpEnrolment,
  type Account,
} from "@codex/contracts";
import { setTimeout as delay } from "node:timers/promises";
import type { ApiClient } from "./api-client.ts";
import { Problem } from "./problem.ts";
import { totpCode } from "./totp.ts";

/** The accounts of the demo profile: registered, proved by the demo mailbox, and signed in, as a person would. */

export interface Person {
  readonly email: string;
  readonly password: string;
  readonly name: string;
  /** Of the authenticator app, when one was set up at an earlier start. */
  readonly totpSecret?: string | undefined;
}

const mailTimeoutMs = 10_000;
const mailEveryMs = 50;
const stepMs = 30_000;

/** Signs in; registers first when the account is not there. */
export async function ensureAccount(client: ApiClient, person: Person, signal: AbortSignal): Promise<Account> {
  const { email, password } = person;
  const known = await client.send("POST", "/api/auth/sign-in", { email, password });
  if (known.ok) {
    const answer = signInResponse.parse(JSON.parse(known.text));
    return "account" in answer ? answer.account : secondFactor(client, answer.secondFactor.ticket, person, signal);
  }
  if (known.status !== 401)
    throw new Problem(`Signing in as ${email} answered ${String(known.status)}: ${known.code}.`);
  return register(client, person, signal);
}

async function register(client: ApiClient, { email, password, name }: Person, signal: AbortSignal): Promise<Account> {
  const { consents } = await client.call("GET", "/api/auth/registration", registrationRules);
  const asked = await client.send("POST", "/api/auth/register", { email, password, name, consents });
  if (!asked.ok) throw new Problem(`Registering ${email} answered ${String(asked.status)}: ${asked.code}.`);
  const deadlineMs = performance.now() + mailTimeoutMs;
  for (;;) {
    const { mails } = await client.call("GET", `/api/auth/mailbox?to=${encodeURIComponent(email)}`, demoMailbox);
    const token = /\/verify#([\w-]{43})/.exec(mails[0]?.text ?? "")?.[1];
    if (token !== undefined) return verify(client, token, password);
    if (mails.length > 0) {
      throw new Problem(
        `There is an account ${email} already, and the password in .codex/config.json does not open it.`,
        { hint: "Its data comes from elsewhere or its password was changed. To begin anew: npm run reset" },
      );
    }
    if (performance.now() > deadlineMs) throw new Problem(`The mail to ${email} did not come.`);
    await delay(mailEveryMs, undefined, { signal });
  }
}

async function verify(client: ApiClient, token: string, password: string): Promise<Account> {
  return (await client.call("POST", "/api/auth/verify", accountResponse, { token, password })).account;
}

/** A code is good once: when somebody used the current one a moment ago, the next is tried, then the one after it. */
async function secondFactor(client: ApiClient, ticket: string, person: Person, signal: AbortSignal): Promise<Account> {
  const { totpSecret } = person;
  if (totpSecret === undefined) {
    throw new Problem(`${person.email} needs a second factor that this clone does not know.`, {
      hint: "To begin anew: npm run reset",
    });
  }
  for (const [attempt, ahead] of [0, 1, 1].entries()) {
    if (attempt === 2) await delay(stepMs, undefined, { signal });
    const proof = { totp: totpCode(totpSecret, ahead) };
    const answer = await client.send("POST", "/api/auth/sign-in/second-factor", { ticket, proof });
    if (answer.ok) return accountResponse.parse(JSON.parse(answer.text)).account;
    if (answer.code !== "" && !answer.code.startsWith("second_factor_wrong"))
      throw new Problem(`The second factor of ${person.email} answered ${String(answer.status)}: ${answer.code}.`);
  }
  throw new Problem(`The second factor of ${person.email} is not accepted.`, { hint: "Is the clock right?" });
}

/** Sets up an authenticator app for whoever is signed in; answers its secret. */
export async function enrolTotp(client: ApiClient): Promise<string> {
  const { secret } = await client.call("POST", "/api/auth/totp", totpEnrolment);
  await client.call("POST", "/api/auth/totp/confirm", recoveryCodes, { code: totpCode(secret) });
  return secret;
}
