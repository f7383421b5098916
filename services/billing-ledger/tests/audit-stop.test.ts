import { eventually } from "@codex/testkit";
import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { startWorld, type World } from "./_util.ts";

let world: World;
beforeAll(async () => {
  world = await startWorld({ AUDIT_EVERY_MS: "100" });
}, 60_000);
afterAll(() => world.stop(), 60_000);

/** From now on whoever reads the entries sleeps for a minute, as a book of some years would make it. */
async function makeBooksLong(): Promise<void> {
  await world.query(`
    alter table entry rename to entry_kept;
    create view entry as select e.* from (select pg_sleep(60)) slow left join entry_kept e on true;
    grant select on entry to public`);
}

test("given an audit that reads for a minute, when billing is stopped, then it is cancelled, and stopping does not fail", async () => {
  await makeBooksLong();
  const reads = async (): Promise<boolean> => {
    const rows = await world.query(
      "select 1 from pg_stat_activity where application_name = 'billing-ledger audit' and wait_event = 'PgSleep'",
    );
    return rows.length === 1;
  };
  await eventually(reads, { what: "the audit to read" });
  const before = performance.now();
  await world.service.stop();
  expect(performance.now() - before).toBeLessThan(8_000);
  expect(await reads()).toBe(false);
}, 60_000);
