import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { execFile } from "node:child_process";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { authSchema } from "../src/index.ts";
import type { Answer, Harness } from "./_harness.ts";
import { cookieOf, enrolTotp, freshEmail, password, startAuth } from "./_util.ts";

const run = promisify(execFile);
let world: Harness;

beforeAll(async () => {
  world = await startAuth({ AUTH_MAIL: "off", AUTH_REGISTRATION: "closed" });
});
afterAll(() => world.stop());

const command = fileURLToPath(new URL("../src/bootstrap-code.ts", import.meta.url));
const newCode = async (): Promise<string> => {
  const { stdout } = await run(process.execPath, ["--conditions=codex:source", command], {
    env: { DATABASE_URL: world.database.urlFor("app", authSchema) },
    timeout: 30_000,
  });
  return stdout.trim();
};
const make = (code: string, more: object = {}): Promise<Answer> =>
  world.send("POST", "/api/auth/bootstrap", { body: { code, email: freshEmail(), password, ...more } });

test("given an installation without mails and operators, when its one-time code is used, then there is one admin, once, by the newest code, and a second factor makes it an operator", async () => {
  expect(await make("x".repeat(43))).toMatchObject({ status: 400, body: { code: "link_invalid" } });
  const old = await newCode();
  const code = await newCode();
  expect(await world.query("select 1 from bootstrap_code where code_hash::text like $1", [`%${code}%`])).toEqual([]);
  expect((await make(old)).status).toBe(400);
  expect(await make(code, { password: "password1234" })).toMatchObject({
    status: 400,
    body: { code: "password_too_common" },
  });
  const answers = await Promise.all([make(code), make(code), make(code)]);
  expect(answers.map(({ status }) => status).toSorted()).toEqual([201, 400, 400]);
  const made = answers.find(({ status }) => status === 201);
  expect(made?.body).toMatchObject({ account: { role: "user", secondFactorDue: true } });
  const { cookie } = await enrolTotp(world, cookieOf(made ?? answers[0]));
  expect((await world.send("GET", "/api/auth/me", { cookie })).body).toMatchObject({ account: { role: "admin" } });
  expect(await world.query("select role from account")).toEqual([{ role: "admin" }]);
  expect(await world.query("select action from audit_act order by seq")).toEqual(
    ["account_registered", "first_operator_made", "totp_added", "recovery_codes_renewed"].map((action) => ({ action })),
  );
  await expect(newCode()).rejects.toMatchObject({ code: 1 });
}, 60_000);
