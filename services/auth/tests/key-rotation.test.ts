import { jwksGet } from "@codex/contracts";
import { createBusSessionVerifier, type RpcCaller } from "@codex/http";
import { ManualClock } from "@codex/kernel";
import type { InProcessService } from "@codex/runtime";
import { eventually } from "@codex/testkit";
import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { decodeJwt, decodeProtectedHeader } from "jose";
import { origin, type Harness } from "./_harness.ts";
import { cookieOf, freshEmail, register, signIn, signingSecret, startAuth } from "./_util.ts";

let world: Harness;

beforeAll(async () => {
  world = await startAuth();
});
afterAll(() => world.stop());

const secretOf = (letter: string): string => `${letter}7k2-Kq7_Zr4mT2wVb8nY5sLd3hGf6jPc0e`;
const tokenOf = (cookie: string): string => cookie.slice("__Host-cx=".length);

test("SEC-18 given a signing key that is known to others, when auth is started without it, then its tokens are refused there at once and elsewhere within a minute, with one question about keys", async () => {
  const email = freshEmail();
  const stolen = await world.startReplica({ AUTH_SIGNING_SECRET: secretOf("r") });
  await register(world, email);
  const old = cookieOf(await signIn(world, email, undefined, { to: stolen }));
  const clock = new ManualClock(new Date());
  let asked = 0;
  const counting: RpcCaller = {
    call: (rpc, req) => {
      if (rpc.subject === jwksGet.subject) asked += 1;
      return world.bus.call(rpc, req);
    },
  };
  const elsewhere = createBusSessionVerifier(counting, origin, clock);
  // Several replicas answer for keys: until it is one that knows this key.
  await eventually(
    async () => {
      clock.advance(31_000);
      return (await elsewhere.verify(tokenOf(old))) !== null;
    },
    { what: "the key to be known elsewhere" },
  );
  const fresh = await world.startReplica({ AUTH_SIGNING_SECRET: secretOf("s") });
  await stolen.stop();
  expect((await world.send("GET", "/api/auth/me", { cookie: old, to: fresh })).status).toBe(401);
  const before = asked;
  clock.advance(59_000);
  const shown = Array.from({ length: 50 }, () => elsewhere.verify(tokenOf(old)));
  expect((await Promise.all(shown)).filter(Boolean)).toEqual([]);
  expect(asked - before).toBe(1);
  await fresh.stop();
}, 60_000);

/**
 * SEC-18: the next key is published before it signs, the last one as long as its tokens live. A change is a rolling restart,
 * so replicas of two generations serve side by side; a browser meets either, and a service asks either for keys.
 */
test("given two changes of the signing key under load, when every replica is restarted in turn, then no cookie is refused by any replica or any other service", async () => {
  const email = freshEmail();
  const { cookie } = await register(world, email);
  const generations = [
    { AUTH_SIGNING_SECRET: signingSecret, AUTH_SIGNING_SECRET_NEXT: secretOf("p") },
    {
      AUTH_SIGNING_SECRET: secretOf("p"),
      AUTH_SIGNING_SECRET_PREVIOUS: signingSecret,
      AUTH_SIGNING_SECRET_NEXT: secretOf("q"),
    },
    { AUTH_SIGNING_SECRET: secretOf("q"), AUTH_SIGNING_SECRET_PREVIOUS: secretOf("p") },
  ];
  let replicas: InProcessService[] = [
    await world.startReplica(generations[0]),
    await world.startReplica(generations[0]),
  ];
  await world.service.stop();
  // Another service, with the keys that it learned at the beginning.
  // Its clock runs ahead: between two changes lies a day, and it keeps keys for less than a minute.
  const clock = new ManualClock(new Date(Date.now() + 60_000));
  const elsewhere = createBusSessionVerifier(world.bus, origin, clock);
  expect(await elsewhere.verify(tokenOf(cookie))).not.toBeNull();

  const load = { isOver: false, served: 0, refused: [] as string[], cookies: [cookie] };
  const browse = async (): Promise<void> => {
    for (let turn = 0; !load.isOver; turn += 1) {
      const to = replicas[turn % replicas.length];
      const shown = load.cookies[turn % load.cookies.length] ?? cookie;
      if (!to) continue;
      try {
        const answer = await world.send("GET", "/api/auth/me", { cookie: shown, to });
        load.served += 1;
        if (answer.status !== 200) load.refused.push(`${String(answer.status)} ${answer.text}`);
        if ((await elsewhere.verify(tokenOf(shown))) === null) load.refused.push("elsewhere");
      } catch {
        // A replica that is being stopped closes its connections; the edge would ask another one.
      }
    }
  };
  const browsing = Promise.all([browse(), browse()]);
  const kids = new Set<unknown>();
  for (const generation of generations.slice(1)) {
    for (let index = 0; index < 2; index += 1) {
      const fresh = await world.startReplica(generation);
      const [old, ...kept] = replicas;
      replicas = [...kept, fresh];
      await old?.stop();
      const signed = cookieOf(await signIn(world, email, undefined, { to: fresh }));
      kids.add(decodeProtectedHeader(tokenOf(signed)).kid);
      // The oldest drop out as their fifteen minutes pass, and are renewed by whoever holds the key after.
      load.cookies = [...load.cookies.slice(-3), signed].filter((each) => decodeJwt(tokenOf(each)).exp !== undefined);
    }
    // Before the next change every token of the key before the last has run out; here they are dropped.
    load.cookies = load.cookies.slice(-2);
    clock.advance(60_000);
  }
  load.isOver = true;
  await browsing;
  expect(load.refused).toEqual([]);
  expect(load.served).toBeGreaterThan(20);
  expect(kids.size).toBe(2);
}, 120_000);
