import { afterAll, afterEach, beforeEach, describe, expect, test } from "@jest/globals";
import { openDb, type Db } from "@codex/db";
import { idToUuid, newId } from "@codex/kernel";
import { createDatabase, type TestDatabase } from "@codex/testkit";
import { spawnSync } from "node:child_process";
import { createHash, randomBytes } from "node:crypto";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { fileURLToPath } from "node:url";
import pg from "pg";
import { digestOf, sealDays, verifySeals } from "../src/app/seal-days.ts";
import type { Seal, SealStore } from "../src/app/seal-ports.ts";
import { migrations, schema } from "../src/index.ts";
import type { Tables } from "../src/store/schema.ts";
import { createSealStore } from "../src/store/seal-store.ts";
import { bookRows } from "./_batch.ts";

const program = fileURLToPath(new URL("../src/audit.ts", import.meta.url));
const folder = mkdtempSync(path.join(tmpdir(), "codex-seals-"));
const dayMs = 86_400_000;
const days = [3, 2, 1].map((ago) => new Date(Date.now() - ago * dayMs).toISOString().slice(0, 10));
const [first = "", second = "", third = ""] = days;

let database: TestDatabase;
let admin: pg.Client;
let db: Db<Tables>;
let store: SealStore;

afterAll(() => rmSync(folder, { recursive: true }));
beforeEach(async () => {
  database = await createDatabase({ service: [{ schema, migrations }] });
  admin = new pg.Client({ connectionString: database.adminUrl, options: `-c search_path=${schema}` });
  await admin.connect();
  db = openDb<Tables>({ url: database.urlFor("app", schema), schema, applicationName: "seal test" });
  store = createSealStore(db);
  await makeDays();
});
afterEach(async () => {
  await db.close();
  await admin.end();
  await database.drop();
});

/** A day with a grant and usage, a day with nothing, a day with a grant; then what is moved today. */
async function makeDays(): Promise<void> {
  const account = idToUuid(newId("acc"));
  await grant(account, 100);
  const opened = await admin.query<{ epoch: string }>("select open_epoch('worker') as epoch");
  const lease = idToUuid(newId("lse"));
  await admin.query("select grant_lease($1, $2, 1, $3, 3::smallint, 50, 50, 60000)", [
    lease,
    opened.rows[0]?.epoch,
    account,
  ]);
  await bookRows(admin, 3, [
    {
      epoch: opened.rows[0]?.epoch ?? "",
      seq: 1,
      account_id: account,
      lease_id: lease,
      request_id: idToUuid(newId("req")),
      cost: 9,
    },
  ]);
  await behindTheTriggers(moveTo(first));
  await grant(account, 5);
  await behindTheTriggers(moveTo(third, "created_at > now() - interval '1 hour'"));
  await grant(account, 7);
}

async function grant(account: string, amount: number): Promise<void> {
  await admin.query(
    "select credit_account($1, $2, uuid_v7(), $3, 'paid', 'payments_clearing', 3::smallint, $4, 'test')",
    [`grant:${randomBytes(8).toString("hex")}`, createHash("sha256").update("x").digest(), account, amount],
  );
}

const moveTo = (day: string, which = "true"): string =>
  ["transfer", "ingest_batch", "money_command"]
    .map((table) => `update ${table} set created_at = '${day}T12:00:00Z' where ${which}`)
    .join(";");

async function behindTheTriggers(change: string): Promise<void> {
  await admin.query(`set session_replication_role = replica; ${change}; set session_replication_role = origin`);
}

const offenders = async (kept?: readonly Pick<Seal, "day" | "hash">[]): Promise<Record<string, unknown[]>> => {
  const results = await verifySeals(store, kept === undefined ? {} : { kept });
  return Object.fromEntries(
    results.map((result) => [result.id, result.offenders.map((row) => JSON.parse(row) as unknown)]),
  );
};

describe("sealing", () => {
  test("given three days that are over, when they are sealed, then each has its seal, in a chain, and today has none", async () => {
    expect(await sealDays(store)).toBe(3);
    expect(await sealDays(store)).toBe(0);
    const seals = await store.all();
    expect(
      seals.map(({ day, contents }) => [
        day,
        contents.transfers.rows,
        contents.entries.rows,
        contents.usage.rows,
        contents.commands.rows,
      ]),
    ).toEqual([
      [first, 2, 4, 1, 1],
      [second, 0, 0, 0, 0],
      [third, 1, 2, 0, 1],
    ]);
    expect(await offenders()).toEqual({ "seal-chain": [], "seal-contents": [] });
  });

  test("given five replicas, when all seal at once, then each day has one seal", async () => {
    const counts = await Promise.all(Array.from({ length: 5 }, () => sealDays(store)));
    expect(counts.reduce((sum, count) => sum + count, 0)).toBe(3);
  });

  test("given a day that is not over, or not the next, when a seal is put, then it is refused", async () => {
    const today = new Date().toISOString().slice(0, 10);
    const contents = await store.contents(first);
    await expect(store.put(third, digestOf(third, contents), contents)).resolves.toBe(true);
    await expect(store.put(today, digestOf(today, contents), contents)).rejects.toMatchObject({ code: "22023" });
    expect(await store.put(first, digestOf(first, contents), contents)).toBe(false);
  });

  test("given a digest that does not fit its parts, when a seal is put, then the table refuses it", async () => {
    const contents = await store.contents(first);
    await expect(store.put(first, digestOf(second, contents), contents)).rejects.toMatchObject({ code: "23514" });
  });
});

describe("verifying", () => {
  test.each([
    [
      "update transfer set reason = 'other' where amount = 5",
      [{ day: third, part: "transfers", sealedRows: 1, rows: 1 }],
    ],
    [
      "delete from transfer where amount = 5",
      [
        { day: third, part: "entries", sealedRows: 2, rows: 0 },
        { day: third, part: "transfers", sealedRows: 1, rows: 0 },
      ],
    ],
    [
      `insert into transfer (id, kind, debit_account_id, credit_account_id, amount, created_at) values (uuid_v7(), 'grant', uuid_v7(), uuid_v7(), 1, '${second}T00:00:00Z')`,
      [{ day: second, part: "transfers", sealedRows: 0, rows: 1 }],
    ],
    [
      "update entry set amount = amount * 2, balance_after = balance_after + amount where abs(amount) = 5",
      [{ day: third, part: "entries", sealedRows: 2, rows: 2 }],
    ],
    ["update usage_row set tokens_output = 2", [{ day: first, part: "usage", sealedRows: 1, rows: 1 }]],
    ["delete from usage_row", [{ day: first, part: "usage", sealedRows: 1, rows: 0 }]],
    [
      `update money_command set key = 'grant:forged-key' where created_at = '${third}T12:00:00Z'`,
      [{ day: third, part: "commands", sealedRows: 1, rows: 1 }],
    ],
  ])(
    "given sealed days, when a superuser does `%s`, then the audit names the day and the part",
    async (change, expected) => {
      await sealDays(store);
      await behindTheTriggers(change);
      expect(await offenders()).toEqual({ "seal-chain": [], "seal-contents": expected });
    },
  );

  test("given a seal that was altered or taken out, then the chain says where", async () => {
    await sealDays(store);
    await behindTheTriggers(`delete from ledger_seal where day = '${second}'`);
    expect((await offenders())["seal-chain"]).toEqual([{ day: third, follows: false, linked: false, fits: true }]);
  });

  test("given an administrator who alters a row and makes the chain anew, then only the copy that was kept outside tells", async () => {
    await sealDays(store);
    const kept = await store.all();
    await behindTheTriggers("update transfer set reason = 'other' where amount = 5; delete from ledger_seal");
    await sealDays(store);
    expect(await offenders()).toEqual({ "seal-chain": [], "seal-contents": [] });
    expect((await offenders(kept))["seal-kept"]).toMatchObject([{ day: third }]);
  });
});

describe("the program", () => {
  const run = (
    args: readonly string[],
    url = database.adminUrl,
  ): { status: number | null; stdout: string; stderr: string } => {
    const { status, stdout, stderr } = spawnSync(process.execPath, ["--conditions=codex:source", program, ...args], {
      encoding: "utf8",
      timeout: 25_000,
      env: { NODE_ENV: "production", DATABASE_URL: url },
    });
    return { status, stdout, stderr };
  };

  test("given books that are right, when it runs as the service's role, then every line is ok and the exit code 0", async () => {
    const audited = run(["--seal"], database.urlFor("app", schema));
    expect(audited).toMatchObject({ status: 0 });
    const lines = audited.stdout.trim().split("\n");
    expect(lines.every((line) => line.startsWith("ok "))).toBe(true);
    expect(lines.join()).toContain("seal-contents");
  });

  test("given a kept copy of the chain, when a sealed row was altered and the chain made anew, then it names the day and exits with 1", async () => {
    await sealDays(store);
    const file = path.join(folder, "seals.jsonl");
    writeFileSync(file, run(["--seals"]).stdout);
    expect(run(["--against", file]).status).toBe(0);
    await behindTheTriggers("update transfer set reason = 'other' where amount = 5; delete from ledger_seal");
    await sealDays(store);
    const audited = run(["--against", file]);
    expect(audited.status).toBe(1);
    expect(audited.stdout).toMatch(new RegExp(`BROKEN {2}seal-kept .*\\n.*${third}`));
  });

  test("given a database that is not there, when it runs, then it says so and exits with 2", () => {
    const audited = run([], "postgres://nobody@127.0.0.1:1/none");
    expect(audited.status).toBe(2);
    expect(audited.stderr).not.toBe("");
  });
});
