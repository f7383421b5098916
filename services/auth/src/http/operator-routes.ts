import {
  accountActBody,
  accountQuery,
  idOf,
  invitationBody,
  mailSent,
  operatedAccountList,
  operatedAccountResponse,
  roleBody,
  rolesWith,
} from "@codex/contracts";
import { appError, defineRoute, notFound, type Route } from "@codex/http";
import { parseId, type Result } from "@codex/kernel";
import { z } from "zod";
import { canonicalEmail } from "../domain/account.ts";
import type { OperatedAccount } from "../app/factor-ports.ts";
import { endSessionsOf, setBlocked, setRole, type Act } from "../app/operate-accounts.ts";
import { toApiOperatedAccount } from "./convert.ts";
import { operatorSessionRoutes } from "./operator-session-routes.ts";
import { refusalOf, type RouteDeps } from "./replies.ts";

const operator = { auth: "operator", owner: "none", logClass: "standard" } as const;
const read = { ...operator, method: "GET", rateClass: "read", bodyLimitBytes: 0 } as const;
const write = { ...operator, method: "POST", rateClass: "write", bodyLimitBytes: 8_192, freshProof: true } as const;
const params = z.strictObject({ accountId: idOf("acc") });
const path = "/api/auth/operator/accounts";

/** The operators' side of accounts. Looking leaves a line in the audit log as well. */
export function operatorRoutes(deps: RouteDeps): readonly Route[] {
  return [...lookRoutes(deps), ...operatorSessionRoutes(deps), ...actRoutes(deps), ...inviteRoutes(deps)];
}

function lookRoutes({ ports }: RouteDeps): readonly Route[] {
  return [
    defineRoute({
      ...read,
      roles: rolesWith("accounts.read"),
      operationId: "searchAccounts",
      path,
      summary: "Accounts by id or by the beginning of the address",
      request: { query: accountQuery },
      responses: { 200: operatedAccountList },
      errors: ["invalid_cursor"],
      handler: async ({ principal, query }) => {
        const { search, limit, cursor } = query;
        const after = cursor === undefined ? undefined : parseId("acc", cursor);
        if (cursor !== undefined && !after) throw appError("invalid_cursor", "The page cursor is not valid.");
        const now = ports.clock.now();
        const found = await ports.acts.search(search, after, limit, now);
        const draft = { actorId: principal.accountId, accountId: null, reason: null };
        await ports.acts.record({ ...draft, action: "accounts_searched" }, now);
        const last = found.length === limit ? found.at(-1) : undefined;
        return {
          status: 200,
          body: { accounts: found.map(toApiOperatedAccount), nextCursor: last?.accountId ?? null },
        };
      },
    }),
    defineRoute({
      ...read,
      roles: rolesWith("accounts.read"),
      operationId: "viewAccount",
      path: `${path}/:accountId`,
      summary: "One account",
      request: { params },
      responses: { 200: operatedAccountResponse },
      errors: ["not_found"],
      handler: async ({ principal, params: { accountId } }) => {
        const now = ports.clock.now();
        const account = await ports.acts.find(accountId, now);
        if (!account) throw notFound();
        const { accountId: actorId } = principal;
        await ports.acts.record({ actorId, action: "account_viewed", accountId, reason: null }, now);
        return { status: 200, body: { account: toApiOperatedAccount(account) } };
      },
    }),
  ];
}

type Outcome = Result<OperatedAccount, "not_found" | "own_account">;

function answer(outcome: Outcome) {
  if (!outcome.ok) throw outcome.code === "not_found" ? notFound() : refusalOf(outcome);
  return { status: 200, body: { account: toApiOperatedAccount(outcome.value) } };
}

function actRoutes({ ports }: RouteDeps): readonly Route[] {
  const act = (
    operationId: string,
    verb: string,
    permission: "accounts.block" | "accounts.end-sessions",
    summary: string,
    run: (act: Act) => Promise<Outcome>,
  ): Route =>
    defineRoute({
      ...write,
      roles: rolesWith(permission),
      operationId,
      path: `${path}/:accountId/${verb}`,
      summary,
      request: { params, body: accountActBody },
      responses: { 200: operatedAccountResponse },
      errors: ["not_found", "own_account"],
      handler: async ({ principal, params: { accountId }, body: { reason } }) =>
        answer(await run({ actorId: principal.accountId, accountId, reason })),
    });
  return [
    act("blockAccount", "block", "accounts.block", "Block an account; its sessions end", (made) =>
      setBlocked(ports, made, true),
    ),
    act("unblockAccount", "unblock", "accounts.block", "Take a block away", (made) => setBlocked(ports, made, false)),
    act("endAccountSessions", "end-sessions", "accounts.end-sessions", "End every session of an account", (made) =>
      endSessionsOf(ports, made),
    ),
    defineRoute({
      ...write,
      roles: rolesWith("accounts.set-role"),
      operationId: "setAccountRole",
      path: `${path}/:accountId/role`,
      summary: "Make an account an operator, or a customer again; its sessions end",
      request: { params, body: roleBody },
      responses: { 200: operatedAccountResponse },
      errors: ["not_found", "own_account"],
      handler: async ({ principal, params: { accountId }, body: { role, reason } }) =>
        answer(await setRole(ports, { actorId: principal.accountId, accountId, reason }, role)),
    }),
  ];
}

function inviteRoutes({ ports }: RouteDeps): readonly Route[] {
  return [
    defineRoute({
      ...write,
      roles: rolesWith("accounts.invite"),
      operationId: "inviteAccount",
      path: "/api/auth/operator/invitations",
      summary: "Mail an invitation to register; it works for seven days and for that address only",
      request: { body: invitationBody },
      responses: { 202: mailSent },
      errors: [],
      handler: async ({ principal, body }) => {
        const email = canonicalEmail(body.email);
        const { accountId } = principal;
        // Which address stays out of the log, which is kept for ever.
        const draft = { actorId: accountId, action: "account_invited", accountId: null, reason: null } as const;
        await ports.acts.record(draft, ports.clock.now());
        const language = body.language ?? "ru";
        await ports.mails.enqueue({ kind: "invitation", email, language, data: { invitedBy: accountId } });
        return { status: 202, body: { mail: "sent" } };
      },
    }),
  ];
}
