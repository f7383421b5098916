import { accountRegistered, accountResponse, problem } from "@codex/contracts";
import { idToUuid } from "@codex/kernel";
import { eventually } from "@codex/testkit";
import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { comparable, recordTraffic, watchEvents, type Harness, type SeenEvent } from "./_harness.ts";
import { consents, freshEmail, isAbout, mailsTo, mailTo, ownCost, password, register, startAuth } from "./_util.ts";

let world: Harness;
let events: readonly SeenEvent<{ accountId: string; role: string }>[];
let traffic: readonly string[];

beforeAll(async () => {
  world = await startAuth({}, ownCost);
  events = await watchEvents(world.bus, accountRegistered);
  traffic = recordTraffic(world.bus);
});
afterAll(() => world.stop());

const path = "/api/auth/register";
const ask = (email: string, more: object = {}) =>
  world.send("POST", path, { body: { email, password, consents, ...more } });
const verify = (token: string, given: string = password) =>
  world.send("POST", "/api/auth/verify", { body: { token, password: given } });

describe("POST /api/auth/register and verify", () => {
  test("202, then 201: given a new address, when its link is opened with the password, then there is one account of role user, signed in by a cookie", async () => {
    const asked = await ask("Anna.Smith@Example.ORG", { name: "  Anna " });
    expect(asked).toMatchObject({ status: 202, body: { mail: "sent" } });
    expect(asked.headers.getSetCookie()).toEqual([]);
    expect(await world.query("select 1 from account where email = 'anna.smith@example.org'")).toEqual([]);
    const mail = await mailTo(world, "anna.smith@example.org", isAbout("/verify"));
    expect(mail.text).toContain(`http://localhost:8080/verify#${mail.token}`);
    const answer = await verify(mail.token);
    expect(answer.status).toBe(201);
    const { account } = accountResponse.parse(answer.body);
    expect(account).toMatchObject({ email: "anna.smith@example.org", name: "Anna", role: "user", language: "ru" });
    expect(answer.headers.get("cache-control")).toBe("no-store");
    expect(answer.headers.getSetCookie()).toEqual([
      expect.stringMatching(
        /^__Host-cx=[\w-]+\.[\w-]+\.[\w-]+; Max-Age=2592000; Path=\/; Secure; HttpOnly; SameSite=Strict$/,
      ),
      expect.stringMatching(
        /^__Host-cx-device=[\w-]+\.[\w-]+; Max-Age=15552000; Path=\/; Secure; HttpOnly; SameSite=Strict$/,
      ),
    ]);
    const id = idToUuid(account.accountId);
    expect(await world.query("select email, name, role, password_hash from account where id = $1", [id])).toEqual([
      {
        email: "anna.smith@example.org",
        name: "Anna",
        role: "user",
        password_hash: expect.stringMatching(/^hs384-bcrypt\$[0-9a-f]{16}\$\$2b\$12\$/),
      },
    ]);
    expect(await world.query("select ended_at from session where account_id = $1", [id])).toEqual([{ ended_at: null }]);
    const listed = await world.query("select document, version from consent where account_id = $1 order by 1", [id]);
    expect(listed).toEqual(consents.toSorted((left, right) => (left.document < right.document ? -1 : 1)));
    expect(await world.query("select 1 from registration where email = 'anna.smith@example.org'")).toEqual([]);
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
    expect(answer.text).not.toMatch(/hash|password|bcrypt/i);
  });

  test("202: given an address in use, when it registers in other letters, then the answer is the same in every byte, its owner is told, and the account stays as it was", async () => {
    const email = freshEmail();
    const { accountId } = await register(world, email);
    const before = await world.query("select * from account where email = $1", [email]);
    const known = await ask(email.toUpperCase(), { password: `${password}!` });
    const unknown = await ask(freshEmail());
    expect(known.status).toBe(202);
    expect(comparable(known)).toEqual(comparable(unknown));
    const told = await mailTo(world, email, ({ text }) => text.includes("/sign-in"));
    expect(told.token).toBe("");
    expect(await world.query("select * from account where email = $1", [email])).toEqual(before);
    expect(before[0]).toMatchObject({ id: idToUuid(accountId) });
    expect(await world.query("select 1 from registration where email = $1", [email])).toEqual([]);
  });

  test("400 and 401: given a link, when it is fetched by a mail scanner, guessed at, replaced and used twice, then it works once, with the right password", async () => {
    const email = freshEmail();
    await ask(email);
    const first = await mailTo(world, email, isAbout("/verify"));
    for (let scan = 0; scan < 5; scan += 1) expect((await world.send("GET", "/api/auth/verify")).status).toBe(405);
    expect(await verify(first.token, "somebody else's password")).toMatchObject({
      status: 401,
      body: { code: "invalid_credentials" },
    });
    await ask(email);
    const second = await mailTo(world, email, (mail) => isAbout("/verify")(mail) && mail.token !== first.token);
    expect(await verify(first.token)).toMatchObject({ status: 400, body: { code: "link_invalid" } });
    const answers = await Promise.all(Array.from({ length: 5 }, () => verify(second.token)));
    expect(answers.map(({ status }) => status).toSorted()).toEqual([201, 400, 400, 400, 400]);
    const tokens = await world.query<{ n: string }>("select count(*)::text as n from account where email = $1", [
      email,
    ]);
    expect(tokens).toEqual([{ n: "1" }]);
  }, 60_000);

  test("400: given five wrong passwords beside a link, when the right one comes, then the link is dead", async () => {
    const email = freshEmail();
    await ask(email);
    const { token } = await mailTo(world, email, isAbout("/verify"));
    for (let guess = 0; guess < 5; guess += 1) expect((await verify(token, `guess ${String(guess)}`)).status).toBe(401);
    expect(await verify(token)).toMatchObject({ status: 400, body: { code: "link_invalid" } });
  }, 60_000);

  test("given a token, when the database is read, then only its hash is there", async () => {
    const email = freshEmail();
    await ask(email);
    const { token } = await mailTo(world, email, isAbout("/verify"));
    const [row] = await world.query<{ token_hash: Buffer }>("select token_hash from registration where email = $1", [
      email,
    ]);
    expect(Buffer.from(token, "base64url")).toHaveLength(32);
    expect(row?.token_hash).toHaveLength(32);
    expect(row?.token_hash.toString("base64url")).not.toBe(token);
    expect(await world.query("select data::text from mail_intent where data::text like $1", [`%${token}%`])).toEqual(
      [],
    );
  });

  test("given a Host header of somebody else, when a link is mailed, then it leads to our own origin", async () => {
    const email = freshEmail();
    await world.send("POST", path, {
      body: { email, password, consents },
      headers: { "x-forwarded-host": "evil.example" },
    });
    const { text } = await mailTo(world, email, isAbout("/verify"));
    expect(text.match(/https?:\/\/[^/]+/g)).toEqual(["http://localhost:8080"]);
  });

  test.each([
    ["a field that is not declared", { email: "a@example.org", password, consents, role: "admin" }, "/role"],
    ["no address", { password }, "/email"],
    ["an address that is none", { email: "a@", password }, "/email"],
    ["an entity's protected fields", { email: "a@example.org", password, emailVerified: true }, "/emailVerified"],
    ["no consents", { email: "a@example.org", password }, "/consents"],
    [
      "an old consent",
      { email: "a@example.org", password, consents: [{ document: "terms", version: "0" }] },
      "/consents",
    ],
    ["a password of another type", { email: "a@example.org", password: 123456789012 }, "/password"],
    ["eleven characters of password", { email: "a@example.org", consents, password: "пароль12345" }, "/password"],
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
      const answer = await world.send("POST", path, { body: { email, password, consents }, headers });
      expect(answer).toMatchObject({ status: 403, body: { code: "csrf_rejected" } });
      expect(await world.query("select 1 from registration where email = $1", [email])).toEqual([]);
      expect(await mailsTo(world, email)).toEqual([]);
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
