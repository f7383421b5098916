import { idToUuid } from "@codex/kernel";
import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { setFailures } from "./_failures.ts";
import { comparable, type Answer, type Harness } from "./_harness.ts";
import { enrolTotp, freshEmail, isAbout, mailsTo, mailTo, password, register, signIn, startAuth } from "./_util.ts";

let world: Harness;

beforeAll(async () => {
  world = await startAuth();
});
afterAll(() => world.stop());

const askFor = (path: string, email: string): Promise<Answer> =>
  world.send("POST", `/api/auth/${path}`, { body: { email } });
const reset = (token: string, given: string): Promise<Answer> =>
  world.send("POST", "/api/auth/reset", { body: { token, password: given } });
const next = "another battery, another horse";

describe("POST /api/auth/reset-link and reset", () => {
  test("202, 204: given a link, when a new password comes with it, then it alone works, every session is over, nobody is signed in, and the owner is told", async () => {
    const email = freshEmail();
    const { cookie } = await register(world, email);
    expect(await askFor("reset-link", email)).toMatchObject({ status: 202, body: { mail: "sent" } });
    const { token, text } = await mailTo(world, email, isAbout("/reset"));
    expect(text).toContain(`http://localhost:8080/reset#${token}`);
    const answer = await reset(token, next);
    expect([answer.status, answer.headers.getSetCookie()]).toEqual([204, []]);
    expect((await world.send("GET", "/api/auth/me", { cookie })).status).toBe(401);
    expect((await signIn(world, email)).status).toBe(401);
    expect((await signIn(world, email, next)).status).toBe(200);
    await mailTo(world, email, ({ subject }) => subject.includes("Пароль изменён"));
    expect(await reset(token, next)).toMatchObject({ status: 400, body: { code: "link_invalid" } });
  }, 60_000);

  test("202: given an address without account, when links are asked for, then the answers are equal in every byte and no mail goes out", async () => {
    const email = freshEmail();
    await register(world, email);
    for (const path of ["reset-link", "sign-in-link"]) {
      const unknown = freshEmail();
      expect(comparable(await askFor(path, unknown))).toEqual(comparable(await askFor(path, email)));
      await mailTo(world, email, isAbout(path === "reset-link" ? "/reset" : "/sign-in-link"));
      expect(await mailsTo(world, unknown)).toEqual([]);
    }
  });

  test("400: given a weak password, when it comes with a good link, then it is refused and the link still works; a newer link kills the older; one of five at once wins", async () => {
    const email = freshEmail();
    await register(world, email);
    await askFor("reset-link", email);
    const first = await mailTo(world, email, isAbout("/reset"));
    expect(await reset(first.token, "password1234")).toMatchObject({
      status: 400,
      body: { code: "password_too_common" },
    });
    expect(await reset(first.token, "short")).toMatchObject({
      status: 400,
      body: { errors: [{ pointer: "/password" }] },
    });
    await askFor("reset-link", email);
    const second = await mailTo(world, email, (mail) => isAbout("/reset")(mail) && mail.token !== first.token);
    expect(await reset(first.token, next)).toMatchObject({ status: 400, body: { code: "link_invalid" } });
    const answers = await Promise.all(Array.from({ length: 5 }, () => reset(second.token, next)));
    expect(answers.map(({ status }) => status).toSorted()).toEqual([204, 400, 400, 400, 400]);
  }, 60_000);

  test("given a token, when the database is read and half an hour passes, then it is there as a hash and works no more", async () => {
    const email = freshEmail();
    const { accountId } = await register(world, email);
    await askFor("reset-link", email);
    const { token } = await mailTo(world, email, isAbout("/reset"));
    const [row] = await world.query<{ token_hash: Buffer; minutes: number }>(
      "select token_hash, extract(epoch from expires_at - created_at)::int / 60 as minutes from link where account_id = $1",
      [idToUuid(accountId)],
    );
    expect(row?.minutes).toBe(30);
    expect(row?.token_hash.toString("base64url")).not.toBe(token);
    await world.query("update link set expires_at = now() where account_id = $1", [idToUuid(accountId)]);
    expect(await reset(token, next)).toMatchObject({ status: 400, body: { code: "link_invalid" } });
    for (const wrong of ["x", "x".repeat(43), "x".repeat(500)]) expect((await reset(wrong, next)).status).toBe(400);
  });

  test("200: given a second factor, when the password was reset, then it is asked for as before", async () => {
    const email = freshEmail();
    const { cookie } = await register(world, email);
    await enrolTotp(world, cookie);
    await askFor("reset-link", email);
    const { token } = await mailTo(world, email, isAbout("/reset"));
    await reset(token, next);
    const answer = await signIn(world, email, next);
    expect(answer.body).toMatchObject({ secondFactor: { methods: ["totp", "recovery_code"] } });
    expect(answer.headers.getSetCookie()).toEqual([]);
  }, 60_000);
});

describe("mails to one address", () => {
  test("202: given more than five an hour, when another is asked for, then the answer is the same and none is sent", async () => {
    const email = freshEmail();
    await register(world, email);
    const answers: Answer[] = [];
    for (let ask = 0; ask < 8; ask += 1) answers.push(await askFor("reset-link", email));
    expect(new Set(answers.map((answer) => JSON.stringify(comparable(answer)))).size).toBe(1);
    // The registration's was the first; whatever is still waiting is sent before this one.
    const other = freshEmail();
    await register(world, other);
    expect(await mailsTo(world, email)).toHaveLength(5);
  }, 60_000);
});

describe("an account that is being guessed at", () => {
  test("403: given a hundred failures, when the right password comes from a stranger's browser, then only a mailed link signs in; a browser that was known is not concerned", async () => {
    const email = freshEmail();
    const { answer } = await register(world, email);
    const device = answer.headers.getSetCookie()[1]?.split(";")[0] ?? "";
    await setFailures(email, 100);
    expect(await signIn(world, email)).toMatchObject({ status: 403, body: { code: "sign_in_link_required" } });
    const unknown = freshEmail();
    await setFailures(unknown, 100);
    const refused = comparable(await signIn(world, email, "a guess"));
    expect(comparable(await signIn(world, unknown, "a guess"))).toEqual(refused);
    const known = await world.send("POST", "/api/auth/sign-in", { body: { email, password }, cookie: device });
    expect(known.status).toBe(200);
    expect((await signIn(world, email)).status).toBe(403);

    await askFor("sign-in-link", email);
    const { token } = await mailTo(world, email, isAbout("/sign-in-link"));
    const byLink = (given: string): Promise<Answer> =>
      world.send("POST", "/api/auth/sign-in/link", { body: { token, password: given } });
    expect((await byLink("a guess")).status).toBe(401);
    expect((await byLink(password)).status).toBe(200);
    expect((await byLink(password)).status).toBe(400);
    expect((await signIn(world, email)).status).toBe(200);
  }, 60_000);
});
