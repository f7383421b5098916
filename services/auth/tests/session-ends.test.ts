import { sessionCheckV2 } from "@codex/contracts";
import { createBusSessionVerifier } from "@codex/http";
import { idToUuid, newId, systemClock, type SessionId } from "@codex/kernel";
import { eventually } from "@codex/testkit";
import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { createTokenSigner } from "../src/crypto/token-signer.ts";
import { origin, type Harness } from "./_harness.ts";
import { cookieOf, freshEmail, password, register, signIn, signingSecret, startAuth, type SignedIn } from "./_util.ts";

// SEC-21: a session that was ended is over everywhere with the answer that ended it, because nobody keeps one: each request asks.

let world: Harness;
let person: SignedIn;
beforeAll(async () => {
  world = await startAuth();
  person = await register(world, freshEmail());
});
afterAll(() => world.stop());

/** Sessions of the person as if it had signed in with that many browsers. */
async function sessionsOf(
  count: number,
): Promise<readonly { readonly sessionId: SessionId; readonly token: string }[]> {
  const signer = await createTokenSigner([signingSecret], origin, systemClock);
  const ids = Array.from({ length: count }, () => newId("ses"));
  await world.query(
    `insert into session (id, account_id, created_at, last_seen_at, authenticated_at)
     select id, $2::uuid, now(), now(), now() from unnest($1::uuid[]) as id`,
    [ids.map(idToUuid), idToUuid(person.accountId)],
  );
  return Promise.all(ids.map(async (sessionId) => ({ sessionId, token: await signer.sign(sessionId) })));
}

test("given a hundred sessions on three replicas, when the password is changed, then with the answer every one is over on each of them and for every other service", async () => {
  const sessions = await sessionsOf(100);
  const replicas = [world.service, await world.startReplica(), await world.startReplica()];
  const elsewhere = createBusSessionVerifier(world.bus, origin);
  const statuses = async (): Promise<readonly number[]> => {
    const answers = await Promise.all(
      sessions.flatMap(({ token }) =>
        replicas.map(
          async (to) => (await world.send("GET", "/api/auth/me", { cookie: `__Host-cx=${token}`, to })).status,
        ),
      ),
    );
    return [...new Set(answers)];
  };
  const others = async (): Promise<number> =>
    (await Promise.all(sessions.map(({ token }) => elsewhere.verify(token)))).filter(Boolean).length;
  expect([await statuses(), await others()]).toEqual([[200], 100]);
  const body = { password: `${password}, another one` };
  expect((await world.send("POST", "/api/auth/password", { cookie: person.cookie, body })).status).toBe(200);
  expect([await statuses(), await others()]).toEqual([[401], 0]);
}, 60_000);

test("given NATS cut, when a session is ended, then auth refuses it at once, no other service lets it in meanwhile, and none does when NATS is back", async () => {
  const email = freshEmail();
  const { cookie } = await register(world, email);
  const ending = cookieOf(await signIn(world, email));
  const token = ending.slice("__Host-cx=".length);
  const elsewhere = createBusSessionVerifier(world.bus, origin);
  expect(await elsewhere.verify(token)).not.toBeNull();
  await world.nats.kill();
  expect((await world.send("POST", "/api/auth/sessions/end-others", { cookie })).status).toBe(204);
  expect((await world.send("GET", "/api/auth/me", { cookie: ending })).status).toBe(401);
  // Nobody can be asked, so nobody is let in: not the ended session, and not the living one either.
  for (const shown of [ending, cookie]) {
    await expect(elsewhere.verify(shown.slice("__Host-cx=".length))).rejects.toMatchObject({
      code: "service_unavailable",
    });
  }
  await world.nats.restart();
  await eventually(async () => (await elsewhere.verify(cookie.slice("__Host-cx=".length)).catch(() => null)) !== null, {
    what: "the living session to be let in again",
    timeoutMs: 30_000,
  });
  expect(await elsewhere.verify(token)).toBeNull();
  expect(await world.bus.call(sessionCheckV2, { sessionId: newId("ses") })).toMatchObject({ code: "session_ended" });
}, 60_000);
