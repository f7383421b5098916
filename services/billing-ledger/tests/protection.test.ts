import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { describeSchema, migrate, provision } from "@codex/db";
import { idToUuid, newId } from "@codex/kernel";
import { createDatabase, eventually, testInfra } from "@codex/testkit";
import { randomBytes } from "node:crypto";
import pg from "pg";
import { migrations, schema } from "../src/index.ts";
import { accountIn, balanceOf, fund, startWorld, Worker, type World } from "./_util.ts";

let world: World;
let app: pg.Client;
let owner: pg.Client;

beforeAll(async () => {
  world = await startWorld();
  await fund(world, accountIn(1), { paid: 100n });
  app = new pg.Client({ connectionString: world.database.urlFor("app", schema), options: `-c search_path=${schema}` });
  owner = new pg.Client({
    connectionString: world.database.urlFor("owner", schema),
    options: `-c search_path=${schema}`,
  });
  await app.connect();
  await owner.connect();
});
afterAll(async () => {
  await app.end();
  await owner.end();
  await world.stop();
});

describe("append-only tables", () => {
  const tables = [
    "transfer",
    "entry",
    "money_command",
    "price_version",
    "price_row",
    "usage_refund",
    "operator_act",
    "audit_run",
    "ledger_seal",
    "ingest_batch",
    "usage_shape",
  ];
  const changes = tables.flatMap((table) =>
    [
      `update ${table} set ${columnOf(table)} = ${columnOf(table)}`,
      `delete from ${table}`,
      `truncate ${table} cascade`,
    ].map((text) => [text] as const),
  );

  test.each(changes)("given the service's role, when it tries `%s`, then it lacks the right", async (text) => {
    await expect(app.query(text)).rejects.toMatchObject({ code: "42501" });
  });

  test.each(changes)(
    "given a superuser who leaves the triggers on, when it tries `%s`, then they refuse",
    async (text) => {
      await expect(world.query(text)).rejects.toMatchObject({ code: "23001" });
    },
  );

  test.each(changes)("given the owner, when it tries `%s`, then the trigger refuses", async (text) => {
    await expect(owner.query(text)).rejects.toMatchObject({
      code: "23001",
      message: expect.stringContaining("append-only"),
    });
  });
});

describe("what no function can get wrong", () => {
  const entryOf = "insert into entry (ledger_account_id, version, amount, balance_after, transfer_id)";

  test("given booked usage, when the owner edits or removes it, also through the table of its day, then it is refused", async () => {
    const accountId = accountIn(1);
    await fund(world, accountId, { paid: 100n });
    const worker = await Worker.open(world);
    await worker.send([worker.usage(accountId, await worker.lease(accountId, 50n), { input: 1 })]);
    await worker.confirmed(1, 1);
    const { rows } = await owner.query<{ relname: string }>(
      "select relname from pg_class where relname ~ '^usage_row_[0-9]+$' order by relname",
    );
    for (const table of ["usage_row", rows[0]!.relname]) {
      for (const text of [`update ${table} set charged = 1`, `delete from ${table}`, `truncate ${table}`]) {
        await expect(owner.query(text)).rejects.toMatchObject({ code: "23001" });
      }
    }
  });

  test("given entries of one statement that do not sum to zero, when the owner adds them, then they are refused", async () => {
    await expect(
      owner.query(`${entryOf} values (uuid_v7(), 1, 5, 5, uuid_v7()), (uuid_v7(), 1, -4, -4, uuid_v7())`),
    ).rejects.toMatchObject({ code: "23001", message: expect.stringContaining("off by 1") });
  });

  test.each([
    ["another balance after", 1, 6],
    ["a version too many", 2, 5],
  ])("given an entry with %s, when the owner adds it, then the chain refuses it", async (_what, version, after) => {
    await expect(
      owner.query(
        `${entryOf} values (uuid_v7(), ${String(version)}, 5, ${String(after)}, uuid_v7()), (uuid_v7(), 1, -5, -5, uuid_v7())`,
      ),
    ).rejects.toMatchObject({ code: "23001", message: expect.stringContaining("chain") });
  });

  test("given a balance that somebody edited, when money moves on it, then the move is refused", async () => {
    const accountId = accountIn(1);
    await fund(world, accountId, { paid: 100n });
    await owner.query("update balance set paid = paid + 1 where account_id = $1", [idToUuid(accountId)]);
    await expect(
      owner.query("select credit_account($1, $2, $3, $4, 'paid', 'payments_clearing', 1::smallint, 5, 'test')", [
        `grant:edited:${accountId}`,
        randomBytes(32),
        idToUuid(newId("trf")),
        idToUuid(accountId),
      ]),
    ).rejects.toMatchObject({ code: "23001", message: expect.stringContaining("chain") });
    await owner.query("update balance set paid = paid - 1 where account_id = $1", [idToUuid(accountId)]);
  });
});

describe("money has no other door than the functions", () => {
  test.each([
    ["update balance set paid = paid + 1"],
    ["update operator_balance set posted = 0"],
    ["update lease set settled = 0"],
    ["update gateway_cursor set contiguous = 0"],
    ["delete from usage_row"],
    ["update ingest_position set floor = 9"],
    ["delete from ingest_mark"],
    ["select usage_shape_no('[]')"],
    [
      "insert into transfer (id, kind, debit_account_id, credit_account_id, amount) values (uuid_v7(), 'grant', uuid_v7(), uuid_v7(), 1)",
    ],
    [
      "insert into entry (ledger_account_id, version, amount, balance_after, transfer_id) values (uuid_v7(), 1, 1, 1, uuid_v7())",
    ],
    [
      "insert into balance (account_id, paid_account_id, bonus_account_id, paid) values (uuid_v7(), uuid_v7(), uuid_v7(), 5)",
    ],
    ["select ensure_balance(uuid_v7())"],
    ["select advance_cursor(1, 1::smallint)"],
    ["select nextval('epoch_number')"],
  ])("given the service's role, when it tries `%s`, then it lacks the right", async (text) => {
    await expect(app.query(text)).rejects.toMatchObject({ code: "42501" });
  });

  test("given the table of a day, when the service's role goes past its parent, then it lacks the right", async () => {
    await Worker.open(world);
    const { rows } = await owner.query<{ relname: string }>(
      "select relname from pg_class where relname ~ '^usage_row_[0-9]+$' order by relname",
    );
    for (const text of [`delete from ${rows[0]!.relname}`, `insert into ${rows[0]!.relname} select * from usage_row`]) {
      await expect(app.query(text)).rejects.toMatchObject({ code: "42501" });
    }
  });

  test("given booked usage, when the owner goes past its parent into the table of the day, then the trigger refuses", async () => {
    const accountId = accountIn(1);
    await fund(world, accountId, { paid: 1_000n });
    const worker = await Worker.open(world);
    const leaseId = await worker.lease(accountId, 500n);
    await worker.send([worker.usage(accountId, leaseId, { input: 1 })]);
    await worker.confirmed(1, 1);
    const { rows } = await owner.query<{ day: string }>(
      "select tableoid::regclass::text as day from usage_row limit 1",
    );
    const day = rows[0]?.day ?? "";
    for (const text of [
      `delete from ${day}`,
      `update ${day} set cost = 0`,
      "delete from usage_row",
      "truncate usage_row",
    ]) {
      await expect(owner.query(text)).rejects.toMatchObject({ code: "23001" });
    }
  });

  test("given a temporary table that hides ours, when a function runs in that session, then it still moves the real one", async () => {
    const accountId = accountIn(1);
    await app.query("create temporary table balance (like billing.balance)");
    await app.query("set search_path = pg_temp, billing");
    try {
      const { rows } = await app.query<{ outcome: string }>(
        "select outcome from credit_account($1, $2, $3, $4, 'paid', 'payments_clearing', 1::smallint, 5, 'test')",
        [`grant:${accountId}`, randomBytes(32), idToUuid(newId("trf")), idToUuid(accountId)],
      );
      expect(rows).toEqual([{ outcome: "posted" }]);
      expect((await app.query("select from balance")).rowCount).toBe(0);
    } finally {
      await app.query("drop table pg_temp.balance");
      await app.query("set search_path = billing");
    }
    expect((await balanceOf(world, accountId)).paidMicroTokens).toBe(5n);
  });
});

describe("an archived day", () => {
  test("given its table is gone, when its records come again, then known ones are duplicates and unknown ones go to quarantine", async () => {
    const accountId = accountIn(1);
    await fund(world, accountId, { paid: 1_000n });
    const worker = await Worker.open(world);
    const leaseId = await worker.lease(accountId, 500n);
    const known = worker.usage(accountId, leaseId, { input: 1 });
    await worker.send([known]);
    await worker.confirmed(1, 1);
    const { rows } = await owner.query<{ relname: string }>(
      "select relname from pg_class where relname ~ '^usage_row_[0-9]+$' order by relname",
    );
    await owner.query(`alter table usage_row detach partition ${rows[0]!.relname}`);
    await owner.query("update gateway_epoch set archived_at = now() where epoch = $1", [worker.epoch]);
    await worker.send([known, worker.usage(accountId, leaseId, { input: 1 })], { id: newId("evt") });
    const aside = await eventually(
      async () => {
        const found = await world.query("select seq, reason from quarantine where epoch = $1", [worker.epoch]);
        return found.length > 0 && found;
      },
      { what: "the unknown record in quarantine" },
    );
    expect(aside).toEqual([{ seq: "2", reason: "archived_epoch" }]);
    expect((await balanceOf(world, accountId)).paidMicroTokens).toBe(985n);
  });
});

describe("migrations", () => {
  test("given an empty database, when twenty migrators run at once, then each step is applied once and the schema is the usual one", async () => {
    const name = `billing_many_${randomBytes(4).toString("hex")}`;
    const admin = new pg.Client({ connectionString: testInfra().postgresUrl });
    await admin.connect();
    try {
      await admin.query(`create database ${name}`);
      const url = new URL(testInfra().postgresUrl);
      url.pathname = `/${name}`;
      const password = randomBytes(12).toString("hex");
      const roles = { ownerRole: `${name}_o`, appRole: `${name}_a` };
      await provision(url.href, [{ schema, ...roles, ownerPassword: password, appPassword: `${password}a` }]);
      url.username = roles.ownerRole;
      url.password = password;
      const runs = await Promise.all(Array.from({ length: 20 }, () => migrate({ url: url.href, schema, migrations })));
      expect(runs.flatMap((run) => run.applied).toSorted()).toEqual(migrations.map((migration) => migration.name));
      const usual = await createDatabase({ service: [{ schema, migrations }] });
      try {
        const lines = await describeSchema(url.href, schema);
        const named = lines.map((line) =>
          line.replaceAll(roles.ownerRole, "billing_owner").replaceAll(roles.appRole, "billing_app"),
        );
        expect(named.toSorted()).toEqual((await describeSchema(usual.urlFor("owner", schema), schema)).toSorted());
      } finally {
        await usual.drop();
      }
    } finally {
      await admin.query(`drop database if exists ${name} with (force)`);
      await admin.query(`drop role if exists ${name}_o`);
      await admin.query(`drop role if exists ${name}_a`);
      await admin.end();
    }
  });
});

function columnOf(table: string): string {
  const columns: Readonly<Record<string, string>> = {
    transfer: "amount",
    entry: "amount",
    money_command: "key",
    price_version: "effective_at",
    price_row: "model",
    usage_refund: "reason",
    audit_run: "took_ms",
    ledger_seal: "hash",
    ingest_batch: "settled",
    usage_shape: "model",
  };
  return columns[table] ?? "id";
}
