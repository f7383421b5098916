import { role } from "@codex/contracts";
import { uuidToId } from "@codex/kernel";
import { parseArgs } from "node:util";
import { publishesNothing, withDatabase } from "./command.ts";
import { canonicalEmail } from "./domain/account.ts";
import { accountActs } from "./store/account-acts.ts";

// One-shot command of whoever has the machine: `node dist/grant-role.js --email ops@example.org --role admin`.
// Every session of the account ends, so that the new rights need a new sign-in; the act is in the audit log.
const { values } = parseArgs({ options: { email: { type: "string" }, role: { type: "string" } } });
const wanted = role.safeParse(values.role);
const { email } = values;
if (email === undefined || !wanted.success) {
  process.stderr.write(`usage: grant-role --email <address> --role <${role.options.join("|")}>\n`);
  process.exitCode = 64;
} else {
  const found = await withDatabase("grant-role", async (db) => {
    const row = await db.kysely
      .selectFrom("account")
      .select("id")
      .where("email", "=", canonicalEmail(email))
      .executeTakeFirst();
    if (!row) return false;
    const draft = {
      actorId: null,
      action: "role_set",
      accountId: uuidToId("acc", row.id),
      reason: `→ ${wanted.data}: by command`,
    } as const;
    return accountActs(db, publishesNothing).setRole(draft, wanted.data, new Date());
  });
  process.stdout.write(found ? `${email} is ${wanted.data} now\n` : `there is no account ${email}\n`);
  if (!found) process.exitCode = 1;
}
