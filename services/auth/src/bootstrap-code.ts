import { withDatabase } from "./command.ts";
import { hashOfToken, newToken } from "./crypto/token.ts";

// One-shot command of whoever has the machine: `node dist/bootstrap-code.js` prints the one-time code by which the first
// operator is made, on the page /first-operator. A new code kills the one before; none is made once there is an admin.
const lifeMs = 60 * 60_000;

const code = await withDatabase("bootstrap-code", async (db) => {
  const admin = await db.kysely.selectFrom("account").select("id").where("role", "=", "admin").executeTakeFirst();
  if (admin) return undefined;
  const made = newToken();
  const row = { only_one: true, code_hash: hashOfToken(made), expires_at: new Date(Date.now() + lifeMs) };
  await db.kysely
    .insertInto("bootstrap_code")
    .values(row)
    .onConflict((on) => on.column("only_one").doUpdateSet(row))
    .execute();
  return made;
});
if (code === undefined) {
  process.stderr.write("there is an administrator already\n");
  process.exitCode = 1;
} else {
  process.stdout.write(`${code}\n`);
}
