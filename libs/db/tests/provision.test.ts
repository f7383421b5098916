import { randomBytes } from "node:crypto";
import { afterEach, expect, test } from "@jest/globals";
import { migrate, openDb, provision, type ProvisionSpec } from "../src/index.ts";
import { scramVerifier, verifies } from "../src/scram.ts";
import { asAdmin, dropDatabase, emptyDatabase, newSpec, urlFor } from "./_util.ts";

const undo: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const step of undo.splice(0).reverse()) await step();
});

const rolesOf = (specs: readonly ProvisionSpec[]): string[] => specs.flatMap((spec) => [spec.ownerRole, spec.appRole]);

async function ownDatabase(specs: readonly ProvisionSpec[]): Promise<{ name: string; url: string }> {
  const database = await emptyDatabase();
  undo.push(() => dropDatabase(database.name, []));
  undo.unshift(async () => {
    for (const role of rolesOf(specs)) await asAdmin(urlFor("postgres"), `drop role if exists ${role}`);
  });
  return database;
}

const createTable = { name: "20260101T0000_thing", up: "create table thing (id int)" };

test("given two services, when one's app role reads the other's table, then it is refused", async () => {
  const [one, two] = [newSpec("one"), newSpec("two")];
  const { name, url } = await ownDatabase([one, two]);
  await provision(url, [one, two]);
  for (const spec of [one, two]) {
    const ownerUrl = urlFor(name, spec.ownerRole, spec.ownerPassword);
    await migrate({ url: ownerUrl, schema: spec.schema, migrations: [createTable] });
  }
  const appOfOne = urlFor(name, one.appRole, one.appPassword);
  expect(await asAdmin(appOfOne, "select * from one.thing")).toEqual([]);
  await expect(asAdmin(appOfOne, "select * from two.thing")).rejects.toMatchObject({ code: "42501" });
  const ownerOfOne = urlFor(name, one.ownerRole, one.ownerPassword);
  await expect(asAdmin(ownerOfOne, "select * from two.thing")).rejects.toMatchObject({ code: "42501" });
});

test("given a REVOKE of a migration, when provisioned again, then it is not undone", async () => {
  const spec = newSpec("svc");
  const { name, url } = await ownDatabase([spec]);
  await provision(url, [spec]);
  const revoked = {
    name: "20260101T0000_thing",
    up: `create table thing (id int); revoke update on thing from ${spec.appRole}`,
  };
  await migrate({ url: urlFor(name, spec.ownerRole, spec.ownerPassword), schema: "svc", migrations: [revoked] });
  await provision(url, [spec]);
  await expect(
    asAdmin(urlFor(name, spec.appRole, spec.appPassword), "update svc.thing set id = 1"),
  ).rejects.toMatchObject({ code: "42501" });
});

test("given several databases of one server, when all are provisioned at once with the same roles, then all succeed", async () => {
  const specs = [newSpec("one"), newSpec("two")];
  const databases = await Promise.all(Array.from({ length: 4 }, () => ownDatabase(specs)));
  await Promise.all([...databases, ...databases].map(({ url }) => provision(url, specs)));
  for (const { name } of databases) {
    for (const spec of specs) {
      const db = openDb({
        url: urlFor(name, spec.appRole, spec.appPassword),
        schema: spec.schema,
        applicationName: "test",
      });
      await db.ping();
      await db.close();
    }
  }
});

test("given another password, when provisioned again, then the new one is good and the old one is not", async () => {
  const spec = newSpec("svc");
  const { name, url } = await ownDatabase([spec]);
  const stored = async (): Promise<string | null> => {
    const rows = await asAdmin<{ rolpassword: string | null }>(
      url,
      "select rolpassword from pg_authid where rolname = $1",
      [spec.appRole],
    );
    return rows[0]?.rolpassword ?? null;
  };
  await provision(url, [spec]);
  const first = await stored();
  await provision(url, [spec]);
  expect(await stored()).toBe(first);
  const changed = { ...spec, appPassword: 'it\'s "new" \\ $1' };
  await provision(url, [changed]);
  expect(verifies(await stored(), changed.appPassword)).toBe(true);
  expect(verifies(await stored(), spec.appPassword)).toBe(false);
  await asAdmin(urlFor(name, spec.appRole, encodeURIComponent(changed.appPassword)), "select 1");
});

test("given the verifier of a password, when Postgres hashes the same password and salt, then they are equal", async () => {
  const spec = newSpec("svc");
  await ownDatabase([spec]);
  await asAdmin(urlFor("postgres"), `create role ${spec.appRole} login password 'correct horse'`);
  const rows = await asAdmin<{ rolpassword: string }>(
    urlFor("postgres"),
    "select rolpassword from pg_authid where rolname = $1",
    [spec.appRole],
  );
  expect(verifies(rows[0]?.rolpassword ?? null, "correct horse")).toBe(true);
  expect(verifies(rows[0]?.rolpassword ?? null, "correct house")).toBe(false);
  expect(verifies(null, "x")).toBe(false);
  expect(verifies("md5abc", "x")).toBe(false);
  expect(() => scramVerifier("")).toThrow("printable ASCII");
  expect(() => scramVerifier("пароль")).toThrow("printable ASCII");
});

test("given an administrator that is no superuser, when it provisions twice, then roles and schemas are there", async () => {
  const spec = newSpec("svc");
  const { name, url } = await ownDatabase([spec]);
  const admin = `admin_${randomBytes(4).toString("hex")}`;
  await asAdmin(url, `create role ${admin} login createrole password 'admin'`);
  undo.unshift(() => asAdmin(urlFor("postgres"), `drop role ${admin}`).then(() => undefined));
  await asAdmin(url, `alter database ${name} owner to ${admin}`);
  const adminUrl = urlFor(name, admin, "admin");
  await provision(adminUrl, [spec]);
  await provision(adminUrl, [spec]);
  const ownerUrl = urlFor(name, spec.ownerRole, spec.ownerPassword);
  await migrate({ url: ownerUrl, schema: "svc", migrations: [createTable] });
  expect(await asAdmin(urlFor(name, spec.appRole, spec.appPassword), "select * from svc.thing")).toEqual([]);
});

test("given a name that is not plain, when provisioning, then it is refused before anything is made", async () => {
  const spec = newSpec("svc");
  const { url } = await ownDatabase([spec]);
  await expect(provision(url, [{ ...spec, appRole: 'x"; drop table y' }])).rejects.toThrow("appRole must be");
  await expect(provision(url, [{ ...spec, schema: "Svc" }])).rejects.toThrow("schema must be");
  await expect(provision(url, [{ ...spec, appRole: spec.ownerRole }])).rejects.toThrow("must not be ownerRole");
  await expect(provision(url, [{ ...spec, appPassword: "" }])).rejects.toThrow("printable ASCII");
  expect(await asAdmin(url, "select 1 from pg_roles where rolname = $1", [spec.ownerRole])).toEqual([]);
});
