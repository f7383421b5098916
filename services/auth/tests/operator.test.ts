import {
  accountActList,
  accountBlocked,
  auditLineList,
  operatedAccountList,
  rolesWith,
  type Role,
} from "@codex/contracts";
import { openDb, verifyActs } from "@codex/db";
import { idToUuid, newId, type AccountId } from "@codex/kernel";
import { eventually } from "@codex/testkit";
import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { execFile } from "node:child_process";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { authRoutes, authSchema } from "../src/index.ts";
import type { AuthTables } from "../src/store/schema.ts";
import { comparable, watchEvents, type Answer, type Harness, type SeenEvent } from "./_harness.ts";
import { cookieOf, enrolTotp, freshEmail, isAbout, mailTo, password, register, signIn, startAuth } from "./_util.ts";

const run = promisify(execFile);
/** Routes are declared without looking at their ports. */
const nothing = {} as never;
let world: Harness;
let events: readonly SeenEvent<{ accountId: string; blocked: boolean }>[];
const operators: Partial<Record<Role, { readonly cookie: string; readonly accountId: AccountId }>> = {};

async function operatorOf(role: Role): Promise<{ cookie: string; accountId: AccountId }> {
  const email = freshEmail();
  const { accountId, cookie } = await register(world, email);
  await world.query("update account set role = $2 where id = $1", [idToUuid(accountId), role]);
  return { accountId, cookie: (await enrolTotp(world, cookie)).cookie };
}

beforeAll(async () => {
  world = await startAuth();
  events = await watchEvents(world.bus, accountBlocked);
  for (const role of ["support", "finance", "admin"] as const) operators[role] = await operatorOf(role);
}, 60_000);
afterAll(() => world.stop());

const as = (role: Role): { cookie: string } => ({ cookie: operators[role]?.cookie ?? "" });
const path = "/api/auth/operator/accounts";
const reason = "asked for in ticket 7";
const act = (role: Role, accountId: string, verb: string, body: object = { reason }): Promise<Answer> =>
  world.send("POST", `${path}/${accountId}/${verb}`, { ...as(role), body });

describe("who may do what", () => {
  const routes = [
    ["GET", path, "accounts.read"],
    ["GET", `${path}/${newId("acc")}`, "accounts.read"],
    ["POST", `${path}/${newId("acc")}/block`, "accounts.block"],
    ["POST", `${path}/${newId("acc")}/unblock`, "accounts.block"],
    ["POST", `${path}/${newId("acc")}/end-sessions`, "accounts.end-sessions"],
    ["GET", `${path}/${newId("acc")}/sessions`, "accounts.read"],
    ["POST", `${path}/${newId("acc")}/sessions/${"x".repeat(22)}/end`, "accounts.end-sessions"],
    ["POST", `${path}/${newId("acc")}/role`, "accounts.set-role"],
    ["POST", "/api/auth/operator/invitations", "accounts.invite"],
    ["GET", "/api/auth/operator/audit", "acts.read"],
  ] as const;

  test.each(routes)(
    "given each role, when %s %s is asked for, then the table decides",
    async (method, route, permission) => {
      const { cookie } = await register(world);
      const ask = async (given: string | undefined): Promise<number> =>
        (await world.send(method, route, { cookie: given, ...(method === "POST" ? { body: {} } : {}) })).status;
      expect(await ask(undefined)).toBe(401);
      expect(await ask(cookie)).toBe(403);
      for (const role of ["support", "finance", "admin"] as const) {
        const isAllowed = rolesWith(permission).includes(role);
        const status = await ask(operators[role]?.cookie);
        expect([role, isAllowed ? status !== 403 && status !== 401 : status === 403]).toEqual([role, true]);
      }
    },
  );

  test("403: given an operator who signed in by password alone, when every route of a session is asked for, then only the way to a second factor is open", async () => {
    const email = freshEmail();
    const { accountId } = await register(world, email);
    await world.query("update account set role = 'admin' where id = $1", [idToUuid(accountId)]);
    const cookie = cookieOf(await signIn(world, email));
    const guarded = authRoutes(nothing, nothing, nothing, nothing).filter(
      ({ auth }) => auth === "session" || auth === "operator",
    );
    const open: string[] = [];
    for (const { operationId, method, path: route, enrolment } of guarded) {
      if (enrolment) {
        open.push(operationId);
        continue;
      }
      const answer = await world.send(method, route.replaceAll(/:\w+/g, newId("acc")), { cookie });
      expect([operationId, answer.status, answer.body["code"]]).toEqual([operationId, 403, "second_factor_due"]);
    }
    expect(guarded.length - open.length).toBeGreaterThan(15);
    expect(open.toSorted()).toEqual([
      "addPasskey",
      "beginTotp",
      "confirmTotp",
      "me",
      "passkeyAddOptions",
      "reauthenticate",
      "securityOverview",
      "signOut",
    ]);
    const me = await world.send("GET", "/api/auth/me", { cookie });
    expect(me.body).toMatchObject({ account: { role: "user", secondFactorDue: true } });
    const { cookie: able } = await enrolTotp(world, cookie);
    expect((await world.send("GET", path, { cookie: able })).status).toBe(200);
  });

  test("403: given an operator whose proof is old, when an act is asked for, then a proof is first; looking needs none", async () => {
    const admin = await operatorOf("admin");
    await world.query("update session set authenticated_at = now() - interval '6 minutes' where account_id = $1", [
      idToUuid(admin.accountId),
    ]);
    const send = (route: string): Promise<Answer> =>
      world.send("POST", route, { cookie: admin.cookie, body: { reason } });
    expect((await send(`${path}/${newId("acc")}/block`)).body["code"]).toBe("reauth_required");
    expect((await world.send("GET", path, { cookie: admin.cookie })).status).toBe(200);
  });
});

describe("looking", () => {
  test("given a search, when it is by address or by id, then the account comes without any secret; pages go on", async () => {
    const email = freshEmail();
    const { accountId } = await register(world, email);
    const search = async (query: string) =>
      operatedAccountList.parse((await world.send("GET", `${path}?${query}`, as("support"))).body);
    for (const text of [email, email.slice(0, 12).toUpperCase(), accountId]) {
      const { accounts } = await search(`search=${encodeURIComponent(text)}`);
      expect(accounts.find((found) => found.accountId === accountId)).toMatchObject({
        email,
        role: "user",
        liveSessions: 1,
      });
      expect(JSON.stringify(accounts)).not.toMatch(/hs384|secret|token/i);
    }
    expect((await search("search=%25")).accounts).toEqual([]);
    const first = await search("limit=2");
    const second = await search(`limit=2&cursor=${first.nextCursor ?? ""}`);
    expect(first.accounts).toHaveLength(2);
    expect(second.accounts.map(({ accountId: id }) => id)).not.toContain(first.accounts[0]?.accountId);
    expect((await world.send("GET", `${path}?cursor=x`, as("support"))).body["code"]).toBe("invalid_cursor");
    expect((await world.send("GET", `${path}/${newId("acc")}`, as("support"))).status).toBe(404);
  });
});

describe("acting", () => {
  test("given a customer, when it is blocked and unblocked, then its sessions end, nobody signs in meanwhile, it is told, the others hear of it, and it sees who did what without a name", async () => {
    const email = freshEmail();
    const { accountId, cookie } = await register(world, email);
    const blocked = await act("support", accountId, "block");
    expect(blocked.body).toMatchObject({ account: { accountId, liveSessions: 0, blockedAt: expect.any(String) } });
    expect((await world.send("GET", "/api/auth/me", { cookie })).status).toBe(401);
    expect(await signIn(world, email)).toMatchObject({ status: 403, body: { code: "account_frozen" } });
    // Only whoever knows the password learns of it.
    expect(comparable(await signIn(world, email, "not it"))).toEqual(
      comparable(await signIn(world, freshEmail(), "not it")),
    );
    expect((await act("support", accountId, "block")).status).toBe(200);
    expect((await act("support", accountId, "unblock")).body).toMatchObject({ account: { blockedAt: null } });
    await mailTo(world, email, ({ text }) => text.includes(reason));
    const again = cookieOf(await signIn(world, email));
    await eventually(() => events.filter(({ data }) => data.accountId === accountId).length === 2, {
      what: "two events",
    });
    const seen = await world.send("GET", "/api/auth/acts", { cookie: again });
    const acts = accountActList.parse(seen.body).acts;
    expect(acts.map(({ action, reason: why }) => [action, why])).toEqual([
      ["account_unblocked", reason],
      ["account_blocked", reason],
    ]);
    expect(seen.text).not.toContain(operators.support?.accountId);
  }, 60_000);

  test("given a customer, when its sessions are ended or its role is set, then every session is over; nobody acts on the own account", async () => {
    const { accountId, cookie } = await register(world);
    expect((await act("support", accountId, "end-sessions")).status).toBe(200);
    expect((await world.send("GET", "/api/auth/me", { cookie })).status).toBe(401);
    const promoted = await act("admin", accountId, "role", { role: "support", reason });
    expect(promoted.body).toMatchObject({ account: { role: "support" } });
    const own = operators.admin?.accountId ?? "";
    for (const [verb, body] of [
      ["block", { reason }],
      ["end-sessions", { reason }],
      ["role", { role: "user", reason }],
    ] as const) {
      expect(await act("admin", own, verb, body)).toMatchObject({ status: 403, body: { code: "own_account" } });
    }
    expect((await act("admin", newId("acc"), "block")).status).toBe(404);
    for (const body of [{}, { reason: "" }, { reason, role: "root" }]) {
      expect((await act("admin", accountId, "role", body)).status).toBe(400);
    }
  });

  test("given registration by invitation, when somebody comes with one, then it works for that address, once; others are refused", async () => {
    const email = freshEmail();
    const invited = await world.send("POST", "/api/auth/operator/invitations", { ...as("admin"), body: { email } });
    expect(invited.status).toBe(202);
    const { token } = await mailTo(world, email, isAbout("/sign-up"));
    const closed = await world.startReplica({ AUTH_REGISTRATION: "invite", AUTH_CONSENTS: "none" });
    const ask = (address: string, more: object): Promise<Answer> =>
      world.send("POST", "/api/auth/register", { body: { email: address, password, ...more }, to: closed });
    for (const refused of [
      ask(email, {}),
      ask(freshEmail(), { invitation: token }),
      ask(email, { invitation: "x".repeat(43) }),
    ]) {
      expect(await refused).toMatchObject({ status: 403, body: { code: "registration_closed" } });
    }
    expect((await ask(email, { invitation: token })).status).toBe(202);
    const link = await mailTo(world, email, isAbout("/verify"));
    const verified = await world.send("POST", "/api/auth/verify", {
      body: { token: link.token, password },
      to: closed,
    });
    expect(verified.status).toBe(201);
    expect((await ask(email, { invitation: token })).status).toBe(403);
    const nobody = await world.startReplica({ AUTH_REGISTRATION: "closed", AUTH_MAIL: "off" });
    expect(
      await world.send("POST", "/api/auth/register", { body: { email: freshEmail(), password }, to: nobody }),
    ).toMatchObject({
      status: 403,
      body: { code: "registration_closed" },
    });
  }, 60_000);
});

describe("the audit log", () => {
  const command = fileURLToPath(new URL("../src/verify-acts.ts", import.meta.url));
  const verify = () =>
    run(process.execPath, ["--conditions=codex:source", command], {
      env: { DATABASE_URL: world.database.urlFor("app", authSchema) },
      timeout: 30_000,
    });

  test("given what operators did, when the log is read, then each act is there once, newest first, in one chain that the command confirms", async () => {
    const { accountId } = await register(world);
    await Promise.all([1, 2, 3, 4].map(() => act("support", accountId, "end-sessions")));
    const page = auditLineList.parse(
      (await world.send("GET", `/api/auth/operator/audit?accountId=${accountId}&limit=3`, as("admin"))).body,
    );
    expect(page.lines.map(({ action, actorId }) => [action, actorId])).toEqual(
      Array(3).fill(["sessions_ended", operators.support?.accountId]),
    );
    const rest = auditLineList.parse(
      (
        await world.send(
          "GET",
          `/api/auth/operator/audit?accountId=${accountId}&cursor=${page.nextCursor ?? ""}`,
          as("admin"),
        )
      ).body,
    );
    expect(rest).toMatchObject({
      lines: [{ action: "sessions_ended" }, { action: "account_registered", actorId: accountId }],
      nextCursor: null,
    });
    expect((await verify()).stdout).toContain("the chain holds");
  }, 60_000);

  test("given the service's own role, when it would change, delete or empty the log, then it is refused; a line altered by the owner of the database is found", async () => {
    const app = openDb<AuthTables>({
      url: world.database.urlFor("app", authSchema),
      schema: authSchema,
      applicationName: "test",
    });
    try {
      for (const text of ["update audit_act set reason = 'x'", "delete from audit_act", "truncate audit_act"]) {
        await expect(world.query(text)).rejects.toThrow(/append-only/);
      }
      await expect(app.kysely.deleteFrom("audit_act").execute()).rejects.toThrow(/permission denied/);
      const before = await verifyActs(app);
      expect(before.broken).toBeUndefined();
      const [line] = await world.query<{ seq: string; reason: string }>(
        "select seq::text, reason from audit_act where reason is not null order by seq limit 1",
      );
      const tamper = async (text: string): Promise<void> => {
        await world.query("alter table audit_act disable trigger audit_act_append_only");
        await world.query("update audit_act set reason = $2 where seq = $1", [line?.seq, text]);
        await world.query("alter table audit_act enable trigger audit_act_append_only");
      };
      await tamper("nothing happened");
      expect((await verifyActs(app)).broken).toBe(BigInt(line?.seq ?? 0));
      await expect(verify()).rejects.toMatchObject({ code: 1 });
      await tamper(line?.reason ?? "");
      expect((await verifyActs(app)).broken).toBeUndefined();
    } finally {
      await app.close();
    }
  }, 60_000);
});
