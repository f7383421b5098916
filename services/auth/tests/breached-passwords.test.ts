import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { createHash } from "node:crypto";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Harness } from "./_harness.ts";
import { consents, freshEmail, isAbout, mailTo, password, register, startAuth } from "./_util.ts";

// SEC-12: a list that the operator has mounted holds at every place where a password is chosen.

/** Strong by every estimate, but known to everybody. */
const breached = "wandering teapot liquid orchestra";
const folder = mkdtempSync(join(tmpdir(), "codex-breached-"));
const file = join(folder, "breached.txt");
let world: Harness;

beforeAll(async () => {
  const hashes = [breached, "another of them"].map((text) =>
    createHash("sha1").update(text).digest("hex").toUpperCase(),
  );
  writeFileSync(file, `${hashes.toSorted().join(":17\n")}:3\n`);
  world = await startAuth({ AUTH_BREACHED_PASSWORDS_FILE: file });
});
afterAll(async () => {
  await world.stop();
  rmSync(folder, { recursive: true });
});

test("400 password_too_common: given a listed password, when it is chosen at registration, change and reset, then it is refused; unlisted ones are not", async () => {
  const refused = { status: 400, body: { code: "password_too_common" } };
  const email = freshEmail();
  const asked = { email: freshEmail(), password: breached, consents };
  expect(await world.send("POST", "/api/auth/register", { body: asked })).toMatchObject(refused);
  const { cookie } = await register(world, email);
  expect(await world.send("POST", "/api/auth/password", { cookie, body: { password: breached } })).toMatchObject(
    refused,
  );
  await world.send("POST", "/api/auth/reset-link", { body: { email } });
  const { token } = await mailTo(world, email, isAbout("/reset"));
  const reset = (given: string) => world.send("POST", "/api/auth/reset", { body: { token, password: given } });
  expect(await reset(breached)).toMatchObject(refused);
  expect((await reset(`${password}, once more`)).status).toBeLessThan(300);
}, 30_000);

test("given a list that is none, when auth starts with it, then it does not, and says which file and why", async () => {
  const bad = join(folder, "bad.txt");
  writeFileSync(bad, "password\nletmein\n");
  await expect(world.startReplica({ AUTH_BREACHED_PASSWORDS_FILE: bad })).rejects.toThrow(
    /bad\.txt has no hash at byte 0/,
  );
});
