import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import type { InProcessService } from "@codex/runtime";
import type { Answer, Harness } from "./_harness.ts";
import {
  consents,
  cookieOf,
  freshEmail,
  isAbout,
  mailTo,
  password,
  register,
  signIn,
  startAuth,
  type SignedIn,
} from "./_util.ts";

/** SEC-11, at every route by which a password is chosen: its length alone is prescribed, and it is kept as it was given. */

let world: Harness;
let person: SignedIn;

beforeAll(async () => {
  world = await startAuth();
  person = await register(world);
});
afterAll(() => world.stop());

const ask = (given: string, email = freshEmail(), to?: InProcessService): Promise<Answer> =>
  world.send("POST", "/api/auth/register", {
    body: { email, password: given, consents },
    ...(to === undefined ? {} : { to }),
  });

describe("SEC-11 no rules but the length", () => {
  test.each([
    ["of small letters alone", "unrelatedwordsinarow"],
    ["of digits alone", "84719203561794802635"],
    ["of signs alone", "~?}{|^%$#@!&*)(_+=-<"],
    ["with blanks inside, before and behind", "  four words and blanks  "],
    ["in Cyrillic, of twelve letters", "щуплыйгвоздь"],
    ["in Han characters", "電池馬正確釘書針紫色鯨魚飛行"],
    ["of pictures", "🐳🔋🐎📎🪁🧭🎷🛶🥁🦔🪵🧵"],
    ["of 64 characters", "correct horse battery staple ".repeat(3).slice(0, 64)],
    ["of 256 characters, the most", "correct horse battery staple ".repeat(9).slice(0, 256)],
    ["pasted with a line break", "a line and\nanother line"],
  ])(
    "202, 201: given a password %s, when it is chosen, then it is taken and works as it is",
    async (_what, given) => {
      const email = freshEmail();
      expect((await ask(given, email)).status).toBe(202);
      const { token } = await mailTo(world, email, isAbout("/verify"));
      const answer = await world.send("POST", "/api/auth/verify", { body: { token, password: given } });
      expect(answer.status).toBe(201);
      expect((await signIn(world, email, given)).status).toBe(200);
      if (given !== given.trim()) expect((await signIn(world, email, given.trim())).status).toBe(401);
    },
    60_000,
  );

  test("200: given a password of many years, when it signs in, then nobody asks for another", async () => {
    const email = freshEmail();
    const { cookie } = await register(world, email);
    await world.query("update account set created_at = now() - interval '20 years' where email = $1", [email]);
    const answer = await signIn(world, email);
    expect([answer.status, answer.text.includes("password")]).toEqual([200, false]);
    expect((await world.send("GET", "/api/auth/me", { cookie })).status).toBe(200);
  });
});

describe("SEC-11 the length", () => {
  // Characters are code points: neither bytes nor halves of a pair.
  const wrong: readonly (readonly [string, string])[] = [
    ["none", ""],
    ["eleven characters", "щуплыйгвозд"],
    ["eleven pictures, which are 22 halves", "🐳🔋🐎📎🪁🧭🎷🛶🥁🦔🪵"],
    ["257 characters", "x".repeat(257)],
  ];
  const chosenAt: readonly (readonly [string, (given: string) => Promise<Answer>])[] = [
    ["registering", (given) => ask(given)],
    [
      "changing it",
      (given) => world.send("POST", "/api/auth/password", { cookie: person.cookie, body: { password: given } }),
    ],
    [
      "a mailed link",
      async (given) => {
        const email = freshEmail();
        await register(world, email);
        await world.send("POST", "/api/auth/reset-link", { body: { email } });
        const { token } = await mailTo(world, email, isAbout("/reset"));
        return world.send("POST", "/api/auth/reset", { body: { token, password: given } });
      },
    ],
  ];

  test.each(chosenAt)(
    "400: given a password that is too short or too long, when it is chosen by %s, then the field is named",
    async (_where, choose) => {
      for (const [what, given] of wrong) {
        const answer = await choose(given);
        expect([what, answer.status, answer.body["errors"]]).toMatchObject([what, 400, [{ pointer: "/password" }]]);
      }
    },
    120_000,
  );

  test("204: given twelve characters, when they are chosen by changing, then they are taken, without any class of characters", async () => {
    const email = freshEmail();
    const { cookie } = await register(world, email);
    const answer = await world.send("POST", "/api/auth/password", { cookie, body: { password: "щуплыйгвоздь" } });
    expect(answer.status).toBeLessThan(300);
    expect(cookieOf(answer)).not.toBe(cookie);
    expect((await signIn(world, email, "щуплыйгвоздь")).status).toBe(200);
    expect((await signIn(world, email, password)).status).toBe(401);
  }, 60_000);

  test("400, 202: given an operator who wants fifteen, when fourteen and fifteen are chosen, then the setting decides", async () => {
    const strict = await world.startReplica({ AUTH_PASSWORD_CHARACTERS_MIN: "15" });
    const rules = await world.send("GET", "/api/auth/registration", { to: strict });
    expect(rules.body["passwordCharactersMin"]).toBe(15);
    expect((await ask("щуплыйгвоздьвс", freshEmail(), strict)).status).toBe(400);
    expect((await ask("щуплыйгвоздьвсе", freshEmail(), strict)).status).toBe(202);
    await strict.stop();
  });
});
