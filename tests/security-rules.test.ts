import { expect, test } from "@jest/globals";
import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";

// SEC-34, SEC-06. A rule that stopped working looks exactly like one that finds nothing; so each run plants violations.
const root = fileURLToPath(new URL("..", import.meta.url));

/** Lints each line for itself, in a block of its own; answers the rules that it breaks, by line. */
function broken(lines: readonly string[]): readonly (readonly [line: string, rules: readonly string[]])[] {
  const eslint = ["node_modules/eslint/bin/eslint.js", "--config", "eslint.security.mjs", "--format", "json"];
  const run = spawnSync(process.execPath, [...eslint, "--stdin", "--stdin-filename", "services/auth/src/planted.ts"], {
    cwd: root,
    input: lines.map((line) => `{ ${line} }`).join("\n"),
    encoding: "utf8",
    timeout: 120_000,
  });
  const [result] = JSON.parse(run.stdout) as [{ messages: { ruleId: string | null; line: number; fatal?: boolean }[] }];
  expect(result.messages.filter((message) => message.fatal === true)).toEqual([]);
  return lines.map((line, index) => {
    const found = result.messages.filter((message) => message.line === index + 1);
    return [line, found.map(({ ruleId }) => ruleId ?? "")];
  });
}

const all = (lines: readonly string[], rules: readonly string[]) => lines.map((line) => [line, rules]);

test("SEC-34 planted: secrets that are compared letter by letter", () => {
  const bad = [
    "if (given === known.token) accept();",
    "if (body.webhook_secret !== SECRET) refuse();",
    "const ok = signature == expectedSignature;",
    "while (hmac(body) !== header.sig) wait();",
    "const same = row.tokenHash.equals(hash);",
    'const isKey = (a, b) => createHash("sha256").update(a).digest() === b;',
    "const found = rows.find((row) => row.code_hash === wanted);",
    "if (password.trim() === stored) accept();",
    "if ((await totp()) === given) accept();",
  ];
  expect(broken(bad)).toEqual(all(bad, ["security/constant-time"]));
});

test("SEC-34 allowed: whether one is there, of which kind it is, and comparing in constant time", () => {
  const good = [
    "if (token === undefined || secret === null || hash !== '') go();",
    "if (typeof token === 'string' && proof === 'passkey') go();",
    "const ok = timingSafeEqual(digest(token), digest(known));",
    "if (signature.length !== 64 || tokens === tokensMax || outcome.code === wanted) go();",
    "const none = 'skip'; if (signature === none) go();",
    "if (password === `fixed`) go();",
  ];
  expect(broken(good)).toEqual(all(good, []));
});

test("SEC-06 planted: statements that are put together", () => {
  const bad = [
    "client.query(`select * from api_key where hash = '${hash}'`);",
    "pool.query('select * from account where email = ' + email);",
    "const text = `delete from ${table}`; await db.query(text, []);",
    "client.query({ text: `select ${columns} from account`, values: [] });",
    "sql.raw(order);",
    "sql`select ${sql.lit(given)}`;",
    "client.query(['select', columns, 'from account'].join(' '));",
    "client.query(isAll ? 'select 1' : `select ${what}`);",
    "CompiledQuery.raw(`fetch ${count} from lines`);",
    "let table = 'account'; client.query(`select * from ${table}`);",
  ];
  expect(broken(bad)).toEqual(all(bad, ["security/parameterised-sql"]));
});

test("SEC-06 allowed: parameters, tagged templates, escaped names and constants of the same file", () => {
  const good = [
    "client.query('select * from api_key where hash = $1', [hash]);",
    "sql`select * from account where email = ${email}`.execute(db);",
    "client.query(`create schema ${client.escapeIdentifier(name)}`);",
    "const table = 'account'; client.query(`select * from ${table} where id = $1`, [id]);",
    "const rows = 500; CompiledQuery.raw(`fetch ${String(rows)} from lines`);",
    "sql`fetch ${sql.lit(500)} from lines`;",
    "client.query(statement, values);",
    "document.querySelector(`#${id}`);",
  ];
  expect(broken(good)).toEqual(all(good, []));
});
