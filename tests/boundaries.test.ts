import { expect, test } from "@jest/globals";
import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";

// A boundary check that stopped working looks exactly like one that finds nothing; so each run plants violations.
const root = fileURLToPath(new URL("..", import.meta.url));

/** Lints text as if it stood at `path`; returns the messages of the boundary rule. */
function violations(path: string, source: string): string[] {
  const run = spawnSync(
    process.execPath,
    [
      "node_modules/eslint/bin/eslint.js",
      "--config",
      "eslint.boundaries.mjs",
      "--format",
      "json",
      "--stdin",
      "--stdin-filename",
      path,
    ],
    { cwd: root, input: source, encoding: "utf8", timeout: 60_000 },
  );
  const [result] = JSON.parse(run.stdout) as [
    { messages: { ruleId: string | null; message: string; fatal?: boolean }[] },
  ];
  expect(result.messages.filter((message) => message.fatal === true)).toEqual([]);
  return result.messages
    .filter((message) => message.ruleId === "boundaries/dependencies")
    .map((message) => message.message);
}

const kernel = "../../../../libs/kernel/src/index.ts";

test.each([
  ["domain imports the bus", "services/billing-ledger/src/domain/planted.ts", "../../../../libs/bus/src/index.ts"],
  ["domain imports a library", "services/billing-ledger/src/domain/planted.ts", "zod"],
  ["domain imports its own store", "services/billing-ledger/src/domain/planted.ts", "../store/schema.ts"],
  ["app imports the database", "services/billing-ledger/src/app/planted.ts", "../../../../libs/db/src/index.ts"],
  ["a service imports another service", "services/billing-ledger/src/service.ts", "../../auth/src/service.ts"],
  [
    "a service's store imports another's",
    "services/billing-ledger/src/store/planted.ts",
    "../../../auth/src/store/schema.ts",
  ],
  ["kernel imports contracts", "libs/kernel/src/planted.ts", "../../contracts/src/index.ts"],
  ["contracts imports a lib", "libs/contracts/src/planted.ts", "../../bus/src/index.ts"],
  ["dialects imports contracts", "libs/dialects/src/planted.ts", "../../contracts/src/index.ts"],
  ["dialects imports a library", "libs/dialects/src/planted.ts", "zod"],
  ["a lib imports a service", "libs/http/src/planted.ts", "../../../services/auth/src/service.ts"],
  ["a feature imports another feature", "services/dashboard/src/features/keys/planted.ts", "../usage/api/usage.ts"],
  ["a lib imports the testkit", "libs/http/src/planted.ts", "../../testkit/src/index.ts"],
])("planted: %s", (_name, path, target) => {
  expect(violations(path, `import * as planted from "${target}";\nexport const kept = planted;\n`)).toHaveLength(1);
});

test.each([
  [
    "the gateway's edge imports the dialects",
    "services/gateway-proxy/src/http/planted.ts",
    "../../../../libs/dialects/src/index.ts",
  ],
  ["domain imports the kernel", "services/billing-ledger/src/domain/planted.ts", kernel],
  ["app imports its own domain", "services/auth/src/app/planted.ts", "../domain/password.ts"],
  [
    "the store imports the database",
    "services/billing-ledger/src/store/planted.ts",
    "../../../../libs/db/src/index.ts",
  ],
])("allowed: %s", (_name, path, target) => {
  expect(violations(path, `import * as planted from "${target}";\nexport const kept = planted;\n`)).toEqual([]);
});
