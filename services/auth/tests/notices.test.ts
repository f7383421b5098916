import { keyReported } from "@codex/contracts";
import { newId, type AccountId, type Id } from "@codex/kernel";
import { eventually } from "@codex/testkit";
import { afterAll, beforeAll, expect, test } from "@jest/globals";
import type { Harness } from "./_harness.ts";
import { freshEmail, mailsTo, mailTo, register, startAuth } from "./_util.ts";

/** What other services have an owner told: the address is known here alone. */

let world: Harness;
beforeAll(async () => {
  world = await startAuth();
});
afterAll(() => world.stop());

function eventOf(accountId: AccountId, id: Id<"evt">, foundAt: string | null) {
  const keyId = newId("key");
  const at = new Date().toISOString();
  const data = { keyId, accountId, prefix: "cx_live_abcd", via: "holder" as const, foundAt, at };
  return world.bus.encode(keyReported, { id, params: { keyId }, data });
}
async function tell(accountId: AccountId, id: Id<"evt">, foundAt: string | null): Promise<void> {
  await world.bus.publishRaw([eventOf(accountId, id, foundAt)]);
}

test("SEC-39 given a key that was reported, when the event comes, once more and to two replicas, then its owner gets one mail that names the key and where it was found", async () => {
  await world.startReplica();
  const email = freshEmail();
  const { accountId } = await register(world, email);
  const id = newId("evt");
  const foundAt = "https://github.com/octo/repo/blob/main/.env";
  await tell(accountId, id, foundAt);
  const mail = await mailTo(world, email, ({ text }) => text.includes("cx_live_abcd"));
  expect(mail.text).toContain(foundAt);
  // As after a lost acknowledgement, when the stream's own window has forgotten it: the same event as another message.
  const again = eventOf(accountId, id, foundAt);
  world.bus.connection.publish(again.subject, again.payload);
  const last = newId("evt");
  await tell(accountId, last, null);
  await eventually(
    async () => (await mailsTo(world, email)).filter(({ text }) => text.includes("cx_live_abcd")).length === 2,
    {
      what: "the mail of the second key",
    },
  );
  const handled = await world.query("select event_id from inbox order by handled_at");
  expect(handled).toEqual([{ event_id: id }, { event_id: last }]);
});

test("given an account that is gone, when its event comes, then it is handled, and nobody is written to", async () => {
  const id = newId("evt");
  await tell(newId("acc"), id, null);
  await eventually(async () => (await world.query("select 1 from inbox where event_id = $1", [id])).length === 1, {
    what: "the event to be handled",
  });
  expect(await world.query("select 1 from mail_intent where kind = 'key_reported'")).toEqual([]);
});

test("given a replica of the version before, when it writes into the log of its time, then the line is in the log of now", async () => {
  await world.query(
    `insert into account_act (seq, id, action, at, previous_hash, hash)
     values (1, $1, 'accounts_searched', '2026-11-26T00:00:00Z', sha256('a'), sha256('b'))`,
    ["0197f7a0-0000-7000-8000-000000000001"],
  );
  expect(await world.query("select action from audit_act where id = '0197f7a0-0000-7000-8000-000000000001'")).toEqual([
    { action: "accounts_searched" },
  ]);
});
