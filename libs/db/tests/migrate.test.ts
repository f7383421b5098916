import { afterEach, beforeEach, describe, expect, test } from "@jest/globals";
import { sql } from "kysely";
import { appendOnlySql, assertMigrated, describeSchema, migrate, type Migration } from "../src/index.ts";
import { dropDatabase, emptyDatabase, testDatabase, urlFor, type TestDatabase } from "./_util.ts";

let database: TestDatabase;
beforeEach(async () => {
  database = await testDatabase();
});
afterEach(() => database.drop());

const run = (migrations: readonly Migration[]) => migrate({ url: database.ownerUrl, schema: "svc", migrations });
const check = (migrations: readonly Migration[]) => assertMigrated(database.open(), "svc", migrations);

const createAccount: Migration = {
  name: "20260101T0000_account",
  up: "create table account (id bigint primary key, name text not null);\ncreate table applied (name text)",
};
const addEmail: Migration = {
  name: "20260102T0000_email",
  up: async (db) => {
    await db.schema.alterTable("account").addColumn("email", "text").execute();
    await sql`insert into applied values (${"email"})`.execute(db);
  },
};
const indexEmail: Migration = {
  name: "20260103T0000_email_index",
  transactional: false,
  up: "create unique index concurrently if not exists account_email on account (email)",
};
const addAudit: Migration = {
  name: "20260104T0000_audit",
  up: `create table audit (id bigint generated always as identity, what text); ${appendOnlySql("audit")}`,
};
const all = [createAccount, addEmail, indexEmail, addAudit];
const names = all.map((migration) => migration.name);

describe("applying", () => {
  test("given twenty migrators at once, when all run, then each migration is applied once, by somebody, and all succeed", async () => {
    const answers = await Promise.all(Array.from({ length: 20 }, () => run(all)));
    expect(answers.flatMap((answer) => answer.applied)).toEqual(names);
    expect(await database.admin("select name from svc.applied")).toEqual([{ name: "email" }]);
    expect(
      await database.admin("select indisvalid from pg_index where indexrelid = 'svc.account_email'::regclass"),
    ).toEqual([{ indisvalid: true }]);
    await check(all);
  });

  test("given an applied registry, when run again or grown, then only what is new is applied", async () => {
    expect(await run(all.slice(0, 2))).toEqual({ applied: names.slice(0, 2) });
    expect(await run(all.slice(0, 2))).toEqual({ applied: [] });
    expect(await run(all)).toEqual({ applied: names.slice(2) });
  });

  test("given a migration that fails half-way, when run, then nothing of it stays, what came before does, and it can be mended", async () => {
    const broken: Migration = { name: "20260105T0000_broken", up: "create table half (); select 1 / 0" };
    await expect(run([...all, broken])).rejects.toMatchObject({ code: "22012" });
    expect(await database.admin("select to_regclass('svc.half') as half")).toEqual([{ half: null }]);
    await check(all);
    const mended = { ...broken, up: "create table half ()" };
    expect(await run([...all, mended])).toEqual({ applied: [mended.name] });
  });

  test("given a function that answers SQL, when run, then the SQL is applied", async () => {
    await run([{ name: "20260101T0000_text", up: () => "create table one (); create table two ()" }]);
    expect(await database.admin("select to_regclass('svc.two')::text as two")).toEqual([{ two: "svc.two" }]);
  });

  test("given a schema that was not provisioned, when run, then it is refused saying so", async () => {
    const missing = migrate({ url: database.ownerUrl, schema: "nowhere", migrations: all });
    await expect(missing).rejects.toMatchObject({ code: "schema_missing" });
  });

  test("given a migrator that holds the lock, when another waits for longer than its bound, then it gives up", async () => {
    let release = (): void => undefined;
    const held = new Promise<void>((resolve) => {
      release = resolve;
    });
    const started = Promise.withResolvers<undefined>();
    let calls = 0;
    const slow: Migration = {
      name: "20260101T0000_slow",
      up: async () => {
        calls += 1;
        // The first call takes the checksum.
        if (calls < 2) return;
        started.resolve(undefined);
        await held;
      },
    };
    const first = run([slow]);
    await started.promise;
    const second = migrate({ url: database.ownerUrl, schema: "svc", migrations: [slow], waitMs: 100 });
    await expect(second).rejects.toMatchObject({ code: "migration_lock_timeout" });
    release();
    expect(await first).toEqual({ applied: [slow.name] });
  });
});

describe("outside a transaction", () => {
  test("given a concurrent index that cannot be built, when the data is mended and it is run again, then the index is whole", async () => {
    await run(all.slice(0, 2));
    await database.admin("insert into svc.account values (1, 'a', 'same'), (2, 'b', 'same')");
    await expect(run(all)).rejects.toMatchObject({ code: "23505" });
    const index = "select indisvalid from pg_index where indexrelid = 'svc.account_email'::regclass";
    expect(await database.admin(index)).toEqual([{ indisvalid: false }]);
    await expect(check(all)).rejects.toMatchObject({ code: "migrations_pending" });
    await database.admin("delete from svc.account");
    expect(await run(all)).toEqual({ applied: names.slice(2) });
    expect(await database.admin(index)).toEqual([{ indisvalid: true }]);
  });

  test("given a non-transactional migration that cannot succeed, when its text is corrected, then that is no edit", async () => {
    const wrong: Migration = { ...indexEmail, up: "create index concurrently oops on nothing (email)" };
    await expect(run([createAccount, addEmail, wrong])).rejects.toMatchObject({ code: "42P01" });
    expect(await run(all)).toEqual({ applied: names.slice(2) });
  });

  test("given a concurrent index in a transactional migration, when run, then Postgres refuses it", async () => {
    await expect(run([createAccount, addEmail, { ...indexEmail, transactional: true }])).rejects.toMatchObject({
      code: "25001",
    });
  });
});

describe("refusals", () => {
  const edited: readonly (readonly [string, readonly Migration[]])[] = [
    ["SQL text", [{ ...createAccount, up: "create table account (id int)" }, ...all.slice(1)]],
    [
      "a function",
      [createAccount, { ...addEmail, up: (db) => db.schema.dropTable("account").execute() }, ...all.slice(2)],
    ],
    ["a parameter of a function", [createAccount, { ...addEmail, up: otherParameter }, ...all.slice(2)]],
    ["the transactional flag", [{ ...createAccount, transactional: false }, ...all.slice(1)]],
  ];
  async function otherParameter(db: Parameters<Exclude<Migration["up"], string>>[0]): Promise<void> {
    await db.schema.alterTable("account").addColumn("email", "text").execute();
    await sql`insert into applied values (${"e-mail"})`.execute(db);
  }

  test.each(edited)(
    "given %s of an applied migration was edited, when run or checked, then it is refused",
    async (_what, changed) => {
      await run(all);
      await expect(run(changed)).rejects.toMatchObject({ code: "migration_edited" });
      await expect(check(changed)).rejects.toMatchObject({ code: "migration_edited" });
    },
  );

  test("given only line ends and white space at line ends differ, when run, then it is the same migration", async () => {
    await run(all);
    const text = String(createAccount.up).replaceAll("\n", "  \r\n");
    expect(await run([{ ...createAccount, up: `${text}\n\n` }, ...all.slice(1)])).toEqual({ applied: [] });
  });

  test("given a database newer than the code, when run or checked, then it is refused, and nothing is applied", async () => {
    await run(all);
    await expect(run(all.slice(0, 3))).rejects.toMatchObject({
      code: "database_newer",
      detail: { names: names.slice(3) },
    });
    await expect(check(all.slice(0, 3))).rejects.toMatchObject({ code: "database_newer" });
  });

  test("given only additive migrations are newer, when checked, then the older code may start, but must not migrate", async () => {
    const additive: Migration = { name: "20260105T0000_more", up: "create table more ()", additive: true };
    await run([...all, additive]);
    await check(all);
    await expect(run(all)).rejects.toMatchObject({ code: "database_newer" });
  });

  test("given an applied migration was taken out of the registry, when run, then it is refused", async () => {
    await run(all);
    await expect(run(all.filter((migration) => migration !== addEmail))).rejects.toMatchObject({
      code: "migration_unknown",
    });
  });

  test("given a new migration before an applied one, when run, then it is refused", async () => {
    await run([createAccount, addEmail]);
    const late: Migration = { name: "20260101T1200_late", up: "create table late ()" };
    await expect(run([createAccount, late, addEmail])).rejects.toMatchObject({ code: "migration_out_of_order" });
  });

  test("given a registry out of order, with a duplicate or a bad name, when run, then it is refused", async () => {
    await expect(run([addEmail, createAccount])).rejects.toThrow("names rise");
    await expect(run([createAccount, createAccount])).rejects.toThrow("names rise");
    await expect(run([{ ...createAccount, name: "account" }])).rejects.toThrow("is not like");
  });

  test("given a function that depends on rows, when run, then it is refused before anything is done", async () => {
    const dependent: Migration = {
      name: "20260101T0000_dependent",
      up: async (db) => {
        const { rows } = await sql<{ one: number }>`select 1 as one`.execute(db);
        if (rows.length === 0) throw new Error("no row");
      },
    };
    await expect(run([dependent])).rejects.toThrow("write it in SQL");
  });

  test("given pending migrations, or none applied at all, when checked, then it says how many are pending", async () => {
    await expect(check(all)).rejects.toThrow("run migrate: 4 pending");
    await run(all.slice(0, 2));
    await expect(check(all)).rejects.toThrow("run migrate: 2 pending");
  });
});

describe("what the app role may do", () => {
  test("given a migrated schema, when the app role does DDL, then each is refused; rows it may change", async () => {
    await run(all);
    const { pool } = database.open();
    for (const statement of [
      "create table mine ()",
      "create table public.mine ()",
      "alter table account add column mine int",
      "drop table account",
      "truncate account",
      "create index on account (name)",
      "create schema mine",
    ]) {
      await expect(pool.query(statement)).rejects.toMatchObject({ code: "42501" });
    }
    await pool.query("insert into account values (1, 'a')");
    await pool.query("update account set name = 'b'");
    expect((await pool.query("delete from account")).rowCount).toBe(1);
  });

  test("given a table made append-only in a migration, when the app role changes rows, then it may only add and read", async () => {
    await run(all);
    const { pool } = database.open();
    await pool.query("insert into audit (what) values ('x')");
    for (const statement of ["update audit set what = 'y'", "delete from audit", "truncate audit"]) {
      await expect(pool.query(statement)).rejects.toMatchObject({ code: "42501" });
    }
    expect((await pool.query("select what from audit")).rows).toEqual([{ what: "x" }]);
  });

  test("given the record of migrations, when the app role writes it, then it is refused", async () => {
    await run(all);
    const { pool } = database.open();
    for (const statement of [
      "insert into schema_migration values ('x', 'x', true)",
      "update schema_migration set checksum = ''",
      "delete from schema_migration",
    ]) {
      await expect(pool.query(statement)).rejects.toMatchObject({ code: "42501" });
    }
  });
});

describe("describeSchema", () => {
  test("given a fresh database and one upgraded step by step, when described, then they are equal", async () => {
    const other = await emptyDatabase();
    try {
      const { provision } = await import("../src/index.ts");
      await provision(other.url, [database.spec]);
      for (let count = 1; count <= all.length; count += 1) await run(all.slice(0, count));
      const { ownerRole, ownerPassword } = database.spec;
      await migrate({ url: urlFor(other.name, ownerRole, ownerPassword), schema: "svc", migrations: all });
      const upgraded = await describeSchema(database.ownerUrl, "svc");
      expect(await describeSchema(other.url, "svc")).toEqual(upgraded);
      expect(upgraded).toContain("column account.email text");
      expect(upgraded).toContain(`grant audit INSERT,SELECT to ${database.spec.appRole}`);
    } finally {
      await dropDatabase(other.name);
    }
  });

  test.each([
    "alter table svc.account add column extra int",
    "alter table svc.account alter column name drop not null",
    "alter table svc.account alter column name set default 'x'",
    "alter table svc.account add constraint positive check (id > 0)",
    "create index extra on svc.account (name)",
    "create view svc.extra as select 1 as one",
    "create function svc.extra() returns int language sql as 'select 1'",
    "create type svc.mood as enum ('good', 'bad')",
    "create domain svc.amount as bigint not null",
    "revoke insert on svc.account from public, current_user",
    "create sequence svc.extra",
    "create policy p on svc.account using (id > 1)",
    "create function svc.f() returns trigger language plpgsql as 'begin return new; end'",
  ])("given a schema, when somebody does: %s, then the description differs", async (statement) => {
    await run(all);
    const before = await describeSchema(database.ownerUrl, "svc");
    const { pool } = database.open({ role: "owner" });
    await pool.query(statement);
    expect(await describeSchema(database.ownerUrl, "svc")).not.toEqual(before);
  });
});
