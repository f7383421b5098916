import { accountResponse, consentList, ownSessions } from "@codex/contracts";
import { newId } from "@codex/kernel";
import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { comparable, type Answer, type Harness } from "./_harness.ts";
import { consents, cookieOf, freshEmail, isAbout, mailsTo, mailTo, register, signIn, startAuth } from "./_util.ts";

let world: Harness;

beforeAll(async () => {
  world = await startAuth();
});
afterAll(() => world.stop());

const me = (cookie: string): Promise<Answer> => world.send("GET", "/api/auth/me", { cookie });
const sessionsOf = async (cookie: string) =>
  ownSessions.parse((await world.send("GET", "/api/auth/sessions", { cookie })).body).sessions;

describe("sessions of an account", () => {
  test("given three, when they are listed and ended, then each is named by its browser and is over on every replica with the answer", async () => {
    const email = freshEmail();
    const { cookie } = await register(world, email);
    const agent = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0";
    const firefox = cookieOf(
      await world.send("POST", "/api/auth/sign-in", {
        body: { email, password: "correct horse battery staple" },
        headers: { "user-agent": agent },
      }),
    );
    const third = cookieOf(await signIn(world, email));
    const listed = await sessionsOf(cookie);
    expect(listed).toHaveLength(3);
    expect(listed.filter(({ current }) => current)).toHaveLength(1);
    const named = listed.find(({ device }) => device === "Firefox, Linux");
    expect(JSON.stringify(listed)).not.toContain("140");
    const replicas = [world.service, await world.startReplica(), await world.startReplica()];
    const aliveOn = async (which: string): Promise<number[]> => {
      const answers = await Promise.all(replicas.map((to) => world.send("GET", "/api/auth/me", { cookie: which, to })));
      return answers.map(({ status }) => status);
    };
    expect(await aliveOn(firefox)).toEqual([200, 200, 200]);
    const ended = await world.send("DELETE", `/api/auth/sessions/${named?.sessionId ?? ""}`, { cookie });
    expect(ended.status).toBe(204);
    expect(await aliveOn(firefox)).toEqual([401, 401, 401]);
    expect(await aliveOn(third)).toEqual([200, 200, 200]);
    expect((await world.send("POST", "/api/auth/sessions/end-others", { cookie })).status).toBe(204);
    expect(await aliveOn(third)).toEqual([401, 401, 401]);
    expect(await aliveOn(cookie)).toEqual([200, 200, 200]);
  }, 60_000);

  test("404: given a session of somebody else and one that never was, when they are ended, then the answers are equal and it lives", async () => {
    const { cookie } = await register(world);
    const other = await register(world);
    const [foreign] = await sessionsOf(other.cookie);
    const end = (id: string): Promise<Answer> => world.send("DELETE", `/api/auth/sessions/${id}`, { cookie });
    const refused = await end(foreign?.sessionId ?? "");
    expect(refused.status).toBe(404);
    expect(comparable(await end(newId("ses")))).toEqual(comparable(refused));
    expect((await me(other.cookie)).status).toBe(200);
  });
});

describe("profile and consents", () => {
  test("given a correction, when it is sent, then name and language change and nothing else can", async () => {
    const { cookie } = await register(world);
    const change = (body: object): Promise<Answer> => world.send("PATCH", "/api/auth/profile", { cookie, body });
    const changed = await change({ name: "  Анна ", language: "en" });
    expect(accountResponse.parse(changed.body).account).toMatchObject({ name: "Анна", language: "en" });
    expect(accountResponse.parse((await change({ name: null })).body).account.name).toBeNull();
    const hostile = {
      role: "admin",
      email: "x@example.org",
      email_verified: true,
      blockedAt: null,
      accountId: newId("acc"),
    };
    for (const [field, value] of Object.entries(hostile)) {
      expect(await change({ [field]: value })).toMatchObject({
        status: 400,
        body: { errors: [{ pointer: `/${field}` }] },
      });
    }
    expect(accountResponse.parse((await me(cookie)).body).account).toMatchObject({ role: "user", language: "en" });
  });

  test("given a registration, when the consents are asked for, then each document stands with its version and time", async () => {
    const { cookie } = await register(world);
    const listed = consentList.parse((await world.send("GET", "/api/auth/consents", { cookie })).body).consents;
    expect(listed.map(({ document, version }) => ({ document, version }))).toEqual(
      consents.toSorted((left, right) => (left.document < right.document ? -1 : 1)),
    );
    expect(listed.every(({ at }) => Math.abs(Date.parse(at) - Date.now()) < 120_000)).toBe(true);
  });
});

describe("change of the address", () => {
  const ask = (cookie: string, email: string): Promise<Answer> =>
    world.send("POST", "/api/auth/email", { cookie, body: { email } });
  const confirm = (token: string): Promise<Answer> =>
    world.send("POST", "/api/auth/email/confirm", { body: { token } });

  test("given a new address, when its link is confirmed, then it is the account's, once, and both addresses are told", async () => {
    const [email, next] = [freshEmail(), freshEmail()];
    const { cookie } = await register(world, email);
    expect((await ask(cookie, next.toUpperCase())).status).toBe(202);
    await mailTo(world, email, ({ text }) => text.includes(next));
    const { token } = await mailTo(world, next, isAbout("/email"));
    expect(accountResponse.parse((await me(cookie)).body).account.email).toBe(email);
    expect((await confirm(token)).status).toBe(204);
    expect(accountResponse.parse((await me(cookie)).body).account.email).toBe(next);
    for (const told of [email, next]) await mailTo(world, told, ({ subject }) => subject.includes("Адрес изменён"));
    expect(await confirm(token)).toMatchObject({ status: 400, body: { code: "link_invalid" } });
    expect((await signIn(world, email)).status).toBe(401);
    expect((await signIn(world, next)).status).toBe(200);
  }, 60_000);

  test("202: given an address in use, when it is asked for, then the answer is the same, its owner is told, and no link exists", async () => {
    const { cookie } = await register(world);
    const taken = freshEmail();
    await register(world, taken);
    expect(comparable(await ask(cookie, taken))).toEqual(comparable(await ask(cookie, freshEmail())));
    await mailTo(world, taken, ({ subject }) => subject.includes("Адрес уже занят"));
    expect((await mailsTo(world, taken)).filter(isAbout("/email"))).toEqual([]);
  });
});
