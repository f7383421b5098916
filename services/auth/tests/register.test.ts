import { accountRegistered, accountResponse, problem } from "@codex/contracts";
import { idToUuid } from "@codex/kernel";
import { eventually } from "@codex/testkit";
import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { recordTraffic, watchEvents, type Harness, type SeenEvent } from "./_harness.ts";
import { freshEmail, password, register, startAuth } from "./_util.ts";

let world: Harness;
let events: readonly SeenEvent<{ accountId: string; role: string }>[];
let traffic: readonly string[];

beforeAll(async () => {
  world = await startAuth();
  events = await watchEvents(world.bus, accountRegistered);
  traffic = recordTraffic(world.bus);
});
afterAll(() => world.stop());

const path = "/api/auth/register";

/** Rows go when the stream has acknowledged them, which is after the event can be seen. */
const outboxEmpty = (): Promise<boolean> =>
  eventually(async () => (await world.query("select 1 from outbox")).length === 0, { what: "an empty outbox" });

describe("POST /api/auth/register", () => {
  test("201: given a new address, when somebody registers, then there is one account of role user, signed in by a cookie", async () => {
    const answer = await world.send("POST", path, {
      body: { email: "Anna.Smith@Example.ORG", password, name: "  Anna " },
    });
    expect(answer.status).toBe(201);
    const { account } = accountResponse.parse(answer.body);
    expect(account).toMatchObject({ email: "anna.smith@example.org", name: "Anna", role: "user" });
    expect(answer.headers.get("cache-control")).toBe("no-store");
    expect(answer.headers.getSetCookie()).toEqual([
      expect.stringMatching(
        /^__Host-cx=[\w-]+\.[\w-]+\.[\w-]+; Max-Age=2592000; Path=\/; Secure; HttpOnly; SameSite=Strict$/,
      ),
    ]);
    const rows = await world.query("select email, name, role, password_hash from account where id = $1", [
      idToUuid(account.accountId),
    ]);
    expect(rows).toEqual([
      {
        email: "anna.smith@example.org",
        name: "Anna",
        role: "user",
        password_hash: expect.stringMatching(/^hs384-bcrypt\$[0-9a-f]{16}\$\$2b\$12\$/),
      },
    ]);
    const sessions = await world.query("select ended_at from session where account_id = $1", [
      idToUuid(account.accountId),
    ]);
    expect(sessions).toEqual([{ ended_at: null }]);
  });

  test("201: given a registration, when its event comes, then it names the account and nothing personal is on the bus", async () => {
    const email = freshEmail();
    const { accountId, answer } = await register(world, email);
    const event = await eventually(() => events.find(({ data }) => data.accountId === accountId), {
      what: "the event",
    });
    expect(event.data).toMatchObject({ accountId, role: "user" });
    expect(traffic.some((message) => message.includes(accountId))).toBe(true);
    expect(traffic.filter((message) => message.includes(email) || message.includes(password))).toEqual([]);
    await outboxEmpty();
    expect(answer.text).not.toMatch(/hash|password|bcrypt/i);
  });

  test.each([
    ["a field that is not declared", { email: "a@example.org", password, role: "admin" }, "/role"],
    ["no address", { password }, "/email"],
    ["an address that is none", { email: "a@", password }, "/email"],
    ["a password of another type", { email: "a@example.org", password: 123456789012 }, "/password"],
    ["eleven characters of password", { email: "a@example.org", password: "пароль12345" }, "/password"],
    ["257 characters of password", { email: "a@example.org", password: "x".repeat(257) }, "/password"],
    ["a NUL in the password", { email: "a@example.org", password: `${password}\u0000` }, "/password"],
  ])(
    "400: given %s, when somebody registers, then the field is named and no value repeated",
    async (_what, body, pointer) => {
      const answer = await world.send("POST", path, { body });
      expect(answer.status).toBe(400);
      const refusal = problem.parse(answer.body);
      expect(refusal.code).toBe("invalid_request");
      expect(refusal.errors?.map((error) => error.pointer)).toEqual([pointer]);
      expect(answer.text).not.toContain(password);
    },
  );

  test("400: given a body that is no JSON, when it is sent, then the code says so", async () => {
    const answer = await world.send("POST", path, { text: "{", headers: { "content-type": "application/json" } });
    expect(answer).toMatchObject({ status: 400, body: { code: "malformed_json" } });
  });

  test.each([
    ["another origin", { origin: "https://evil.example" }],
    ["no origin", { origin: null }],
    ["a browser that says cross-site", { "sec-fetch-site": "cross-site" }],
    ["no header of ours", { "x-cx-csrf": null }],
  ])(
    "403: given a request with %s, when it would register, then it is refused and there is no account",
    async (_what, headers) => {
      const email = freshEmail();
      const answer = await world.send("POST", path, { body: { email, password }, headers });
      expect(answer).toMatchObject({ status: 403, body: { code: "csrf_rejected" } });
      expect(await world.query("select 1 from account where email = $1", [email])).toEqual([]);
    },
  );

  test("405: given the wrong method, when the path is asked for, then Allow names the right one", async () => {
    const answer = await world.send("GET", path);
    expect(answer).toMatchObject({ status: 405, body: { code: "method_not_allowed" } });
    expect(answer.headers.get("allow")).toBe("POST");
  });

  test("404: given a path that nobody declared, when it is asked for, then there is no such route", async () => {
    expect(await world.send("POST", "/api/auth/admin")).toMatchObject({
      status: 404,
      body: { code: "route_not_found" },
    });
  });

  test("409: given an address in use, when it registers in other letters, then it is refused and the account stays as it was", async () => {
    const email = freshEmail();
    const { accountId } = await register(world, email);
    const answer = await world.send("POST", path, { body: { email: email.toUpperCase(), password: `${password}!` } });
    expect(answer).toMatchObject({ status: 409, body: { code: "email_taken" } });
    expect(answer.headers.getSetCookie()).toEqual([]);
    expect(answer.headers.get("x-should-retry")).toBe("false");
    const rows = await world.query<{ id: string }>("select id from account where email = $1", [email]);
    expect(rows).toEqual([{ id: idToUuid(accountId) }]);
  });

  test("409: given twenty registrations of one address at once, when they end, then one account and one event exist", async () => {
    const email = freshEmail();
    const answers = await Promise.all(
      Array.from({ length: 20 }, (_none, index) =>
        world.send("POST", path, { body: { email: index % 2 === 0 ? email : email.toUpperCase(), password } }),
      ),
    );
    const winners = answers.filter(({ status }) => status === 201);
    expect(winners).toHaveLength(1);
    expect(answers.filter(({ status, body }) => status === 409 && body["code"] === "email_taken")).toHaveLength(19);
    const [account, ...more] = await world.query<{ id: string }>("select id from account where email = $1", [email]);
    expect(more).toEqual([]);
    expect(await world.query("select 1 as one from session where account_id = $1", [account?.id])).toHaveLength(1);
    const winner = accountResponse.parse(winners[0]?.body).account.accountId;
    await outboxEmpty();
    await eventually(() => events.some(({ data }) => data.accountId === winner), { what: "the winner's event" });
    const accounts = await world.query<{ id: string }>("select id from account");
    await eventually(() => events.length >= accounts.length, { what: "an event for each account" });
    expect(events.map(({ data }) => idToUuid(data.accountId)).toSorted()).toEqual(
      accounts.map(({ id }) => id).toSorted(),
    );
  }, 60_000);

  test("413: given more than the route takes, when it is sent, then it is refused", async () => {
    const answer = await world.send("POST", path, { body: { email: freshEmail(), password, name: "x".repeat(9_000) } });
    expect(answer).toMatchObject({ status: 413, body: { code: "request_too_large" } });
  });

  test.each(["text/plain", "application/x-www-form-urlencoded", "application/json; charset=utf-16"])(
    "415: given a body of type %s, when it is sent, then it is refused",
    async (type) => {
      const text = JSON.stringify({ email: freshEmail(), password });
      const answer = await world.send("POST", path, { text, headers: { "content-type": type } });
      expect(answer).toMatchObject({ status: 415, body: { code: "unsupported_media_type" } });
    },
  );
});
