import {
  accountResponse,
  addressBody,
  bootstrapBody,
  demoMailbox,
  linkSignInBody,
  mailSent,
  registerBody,
  registrationRules,
  resetBody,
  signInResponse,
  verifyBody,
} from "@codex/contracts";
import { defineRoute, notFound, type Route } from "@codex/http";
import { z } from "zod";
import { makeFirstOperator } from "../app/operate-accounts.ts";
import { askForLink, resetPassword } from "../app/recover.ts";
import { confirmRegistration, register } from "../app/register.ts";
import { signInByLink } from "../app/sign-in.ts";
import type { MailLanguage } from "../domain/mail.ts";
import type { DemoMail } from "../mail/transport.ts";
import { credential, refusalOf, replyOf, signedInReply, type RouteDeps } from "./replies.ts";

export interface RegistrationDeps extends RouteDeps {
  readonly readDemoMails: (to: string | undefined) => Promise<readonly DemoMail[]>;
}

const languageOr = (given: MailLanguage | undefined): MailLanguage => given ?? "ru";

/** Becoming a customer, and getting back in by mail. Every answer is the same for every address (SEC-15). */
export function registrationRoutes(deps: RegistrationDeps): readonly Route[] {
  return [...registering(deps), ...recovering(deps), ...mailboxOf(deps)];
}

function registering(deps: RouteDeps): readonly Route[] {
  const { ports } = deps;
  return [
    defineRoute({
      operationId: "registrationRules",
      method: "GET",
      path: "/api/auth/registration",
      summary: "Whether and how one registers here",
      auth: "public",
      owner: "none",
      rateClass: "read",
      bodyLimitBytes: 0,
      logClass: "quiet",
      request: {},
      responses: { 200: registrationRules },
      errors: [],
      handler: () => Promise.resolve({ status: 200, body: { ...ports.rules, consents: [...ports.rules.consents] } }),
    }),
    defineRoute({
      ...credential,
      operationId: "register",
      method: "POST",
      path: "/api/auth/register",
      summary: "Register; a mail follows, whether or not the address has an account",
      request: { body: registerBody },
      responses: { 202: mailSent },
      errors: ["registration_closed", "password_too_common", "too_many_attempts", "overloaded"],
      handler: async ({ body, clientIp }) => {
        const { email, password, name, consents, invitation } = body;
        const language = languageOr(body.language);
        const taken = await register(ports, { email, password, name, language, consents, invitation, clientIp });
        if (!taken.ok) throw refusalOf(taken);
        return { status: 202, body: { mail: "sent" } };
      },
    }),
    defineRoute({
      ...credential,
      operationId: "verifyEmail",
      method: "POST",
      path: "/api/auth/verify",
      summary: "Prove the address by the mailed token and the chosen password; makes the account and signs in",
      request: { body: verifyBody },
      responses: { 201: accountResponse },
      errors: ["link_invalid", "invalid_credentials", "overloaded"],
      handler: async ({ body, req, cookies }) => {
        const confirmed = await confirmRegistration(ports, body.token, body.password);
        if (!confirmed.ok) throw refusalOf(confirmed);
        return signedInReply(deps, confirmed.value, "password", 201, { req, cookies });
      },
    }),
    defineRoute({
      ...credential,
      operationId: "makeFirstOperator",
      method: "POST",
      path: "/api/auth/bootstrap",
      summary: "Make the first operator by the one-time code of `bootstrap-code`; refused as soon as there is one",
      request: { body: bootstrapBody },
      responses: { 201: accountResponse },
      errors: ["link_invalid", "password_too_common", "too_many_attempts", "overloaded"],
      handler: async ({ body, clientIp, req, cookies }) => {
        await ports.throttle.admitAnonymous(clientIp);
        const { code, email, password, name } = body;
        const made = await makeFirstOperator(ports, { code, email, password, name });
        if (!made.ok) throw refusalOf(made);
        return signedInReply(deps, made.value, "password", 201, { req, cookies });
      },
    }),
  ];
}

function recovering(deps: RouteDeps): readonly Route[] {
  const { ports } = deps;
  const asking = (operationId: string, path: string, kind: "reset" | "sign_in_link", summary: string): Route =>
    defineRoute({
      ...credential,
      operationId,
      method: "POST",
      path,
      summary,
      request: { body: addressBody },
      responses: { 202: mailSent },
      errors: ["too_many_attempts"],
      handler: async ({ body, clientIp }) => {
        await askForLink(ports, kind, { email: body.email, language: languageOr(body.language), clientIp });
        return { status: 202, body: { mail: "sent" } };
      },
    });
  return [
    asking(
      "askForReset",
      "/api/auth/reset-link",
      "reset",
      "Have a link to a new password mailed, if there is an account",
    ),
    asking(
      "askForSignInLink",
      "/api/auth/sign-in-link",
      "sign_in_link",
      "Have a sign-in link mailed, if there is an account",
    ),
    defineRoute({
      ...credential,
      operationId: "resetPassword",
      method: "POST",
      path: "/api/auth/reset",
      summary: "Set a new password by the mailed token; ends every session and signs nobody in",
      request: { body: resetBody },
      responses: { 204: null },
      errors: ["link_invalid", "password_too_common", "overloaded"],
      handler: async ({ body }) => {
        const reset = await resetPassword(ports, body.token, body.password);
        if (!reset.ok) throw refusalOf(reset);
        return { status: 204 };
      },
    }),
    defineRoute({
      ...credential,
      operationId: "signInByLink",
      method: "POST",
      path: "/api/auth/sign-in/link",
      summary: "Sign in by the mailed token and the password, also when only that is allowed any more",
      request: { body: linkSignInBody },
      responses: { 200: signInResponse },
      errors: ["link_invalid", "invalid_credentials", "account_frozen", "overloaded"],
      handler: async ({ body, req, cookies }) => {
        const outcome = await signInByLink(ports, body.token, body.password);
        if (!outcome.ok) throw refusalOf(outcome);
        return replyOf(deps, outcome.value, { req, cookies });
      },
    }),
  ];
}

function mailboxOf({ ports, readDemoMails }: RegistrationDeps): readonly Route[] {
  return [
    defineRoute({
      operationId: "demoMailbox",
      method: "GET",
      path: "/api/auth/mailbox",
      summary: "The mails of a demo installation, which sends none; elsewhere a 404",
      auth: "public",
      owner: "none",
      rateClass: "read",
      bodyLimitBytes: 0,
      logClass: "quiet",
      request: { query: z.strictObject({ to: z.string().max(254).optional() }) },
      responses: { 200: demoMailbox },
      errors: ["not_found"],
      handler: async ({ query }) => {
        if (!ports.rules.demoMailbox) throw notFound();
        const mails = await readDemoMails(query.to?.toLowerCase());
        return {
          status: 200,
          body: { mails: mails.map(({ sentAt, ...mail }) => ({ ...mail, sentAt: sentAt.toISOString() })) },
        };
      },
    }),
  ];
}
