import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import pg from "pg";
import { createDatabase, eventually, leakCheck, testInfra, type TestDatabase } from "@codex/testkit";
import { query } from "./_util.ts";

const service = [
  {
    schema: "shelf",
    migrations: [
      { name: "20260101T0000_create_book", up: "create table book (id bigint primary key, title text not null)" },
      { name: "20260102T0000_first_book", up: "insert into book values (1, 'first')" },
    ],
  },
];

describe("createDatabase", () => {
  const made: TestDatabase[] = [];
  const make = async (): Promise<TestDatabase> => {
    const database = await createDatabase({ service });
    made.push(database);
    return database;
  };

  afterAll(async () => {
    await Promise.all(made.map((database) => database.drop()));
  });

  test("given migrations, when made, then the app role reads and writes rows but changes no table", async () => {
    const database = await make();
    const app = database.urlFor("app", "shelf");
    await query(app, "insert into shelf.book values (2, 'second')");
    expect(await query(app, "select title from shelf.book order by id")).toEqual([
      { title: "first" },
      { title: "second" },
    ]);
    await expect(query(app, "drop table shelf.book")).rejects.toThrow("must be owner");
    expect(await query(database.urlFor("owner", "shelf"), "select current_user as who")).toEqual([
      { who: "shelf_owner" },
    ]);
  });

  test("given two databases, when one is written, then the other does not see it", async () => {
    const [one, other] = await Promise.all([make(), make()]);
    await query(one.urlFor("app", "shelf"), "insert into shelf.book values (7, 'only here')");
    expect(await query(other.urlFor("app", "shelf"), "select id::int from shelf.book")).toEqual([{ id: 1 }]);
  });

  test("given eight at once with migrations nobody used before, then one template is made and all eight work", async () => {
    const fresh = [{ schema: "race", migrations: [{ name: "20260101T0000_create_t", up: "create table t (id int)" }] }];
    const eight = await Promise.all(Array.from({ length: 8 }, () => createDatabase({ service: fresh })));
    made.push(...eight);
    expect(new Set(eight.map((database) => database.name)).size).toBe(8);
    for (const database of eight) {
      expect(await query(database.urlFor("app", "race"), "select count(*)::int as n from race.t")).toEqual([{ n: 0 }]);
    }
  });

  test("given an edited migration, when made, then the clone has the new content", async () => {
    await make();
    const edited = [
      { schema: "shelf", migrations: [{ name: "20260101T0000_create_book", up: "create table book (isbn text)" }] },
    ];
    const database = await createDatabase({ service: edited });
    made.push(database);
    expect(await query(database.urlFor("app", "shelf"), "select isbn from shelf.book")).toEqual([]);
  });

  test("given a schema that was not asked for, when its URL is wanted, then it throws", async () => {
    const database = await make();
    expect(() => database.urlFor("app", "elsewhere")).toThrow("without the schema elsewhere");
  });

  test("given an open session, when dropped, then the database is gone all the same", async () => {
    const database = await createDatabase({ service });
    const client = new pg.Client({ connectionString: database.adminUrl });
    const cut = new Promise((resolve) => client.on("error", resolve));
    await client.connect();
    await database.drop();
    await cut;
    await database.drop();
    const found = await query(testInfra().postgresUrl, "select 1 from pg_database where datname = $1", [database.name]);
    expect(found).toEqual([]);
  });
});

describe("leakCheck", () => {
  let database: TestDatabase;
  beforeAll(async () => {
    database = await createDatabase({ service });
  });
  afterAll(() => database.drop());

  test("given a session that stays open, when checked, then it is named; and after its end all is clean", async () => {
    const check = leakCheck({ databaseUrl: database.adminUrl, timeoutMs: 400 });
    const client = new pg.Client({ connectionString: database.adminUrl, application_name: "forgotten" });
    await client.connect();
    await expect(check.assertClean()).rejects.toThrow(
      /Still open after 400 ms: .*TCPSocketWrap.*database session of forgotten/,
    );
    await client.end();
    await check.assertClean();
  });
});

describe("eventually", () => {
  test("given a check that becomes true, when polled, then its value is returned", async () => {
    let calls = 0;
    expect(await eventually(() => (++calls === 3 ? calls : undefined), { what: "three", everyMs: 1 })).toBe(3);
  });

  test("given a check that throws, when the deadline passes, then the message names what and why", async () => {
    const never = eventually(() => Promise.reject(new Error("no row")), { what: "the row", timeoutMs: 30, everyMs: 5 });
    await expect(never).rejects.toThrow("the row did not happen within 30 ms: no row");
  });
});
