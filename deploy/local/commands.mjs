/**
 * Every command of the repository, in the order in which `npm run help` prints them. package.json has a script of the same
 * name for each (a test holds the two equal), so `npm run x` works on a machine without pnpm and `pnpm x` on one with it.
 *
 *   needs   what must be there before the steps run: "nothing", "toolchain" (the pinned Node) or "packages" (node_modules)
 *   absent  for `needs: "started"` commands in a clone that was never started: what to say, and the exit code
 *   steps   run one after the other; the first that fails ends the command. "node" is the pinned Node. Arguments of the
 *           caller are appended to the last step.
 *   env     variables on top of the caller's
 */

const launcher = ["node", "--conditions=codex:source", "deploy/local/main.ts"];
const esm = { NODE_OPTIONS: "--experimental-vm-modules" };
const prettierFiles = ["*.{json,mjs,md}", "{deploy,libs,services,tests}/**/*.{ts,tsx,mjs,json,css,html}"];

export const commands = {
  start: {
    description: "build, start everything, send one billed request, print the card (--detach leaves it running)",
    needs: "packages",
    steps: [[...launcher, "start"]],
  },
  stop: {
    description: "stop everything that `start` left running; the data stays",
    needs: "started",
    absent: { text: "Nothing is running: this clone was never started.", exitCode: 0 },
    steps: [[...launcher, "stop"]],
  },
  status: {
    description: "what is running, where, since when (--json for scripts; exit code 3 when nothing runs)",
    needs: "started",
    absent: { text: "Nothing is running: this clone was never started.", exitCode: 3 },
    steps: [[...launcher, "status"]],
  },
  reset: {
    description: "stop, then delete the local data, the demo accounts and their key (asks first; --yes does not)",
    needs: "started",
    absent: { text: "Nothing to reset: this clone was never started.", exitCode: 0 },
    steps: [[...launcher, "reset"]],
  },
  test: {
    description: "all tests: unit, integration, contract, end-to-end, browser (a path or name picks some)",
    needs: "packages",
    env: esm,
    steps: [
      [...launcher, "build", "--quiet"],
      ["node", "node_modules/jest/bin/jest.js"],
    ],
  },
  "test:clients": {
    description:
      "the real Codex, Claude Code and opencode do a task through the whole system (deploy/clients/README.md)",
    needs: "packages",
    steps: [
      [...launcher, "build", "--quiet"],
      ["node", "--conditions=codex:source", "deploy/clients/src/main.ts"],
    ],
  },
  simulate: {
    description: "the money code against simulated clock, disk, bus and billing (--seeds 2000; --seed N replays one)",
    needs: "packages",
    steps: [["node", "--conditions=codex:source", "tests/simulation/main.ts"]],
  },
  "test:properties": {
    description: "the property tests with 10,000 cases each; a failure prints its seed",
    needs: "packages",
    env: { ...esm, FC_NUM_RUNS: "10000" },
    steps: [
      [...launcher, "build", "--quiet"],
      [
        "node",
        "node_modules/jest/bin/jest.js",
        "--testTimeout=3600000",
        "--testPathPatterns=(property|properties)\\.test\\.ts$",
      ],
    ],
  },
  "test:permissions": {
    description:
      "try what is forbidden with each service's own credentials at Postgres, NATS and Redis; exit 0 when all is denied",
    needs: "packages",
    steps: [["node", "--conditions=codex:source", "deploy/setup/permissions/main.ts"]],
  },
  abuse: {
    description:
      "attack the running services: other people's objects, forged tokens, races, hostile input (--suite, --seed, --cases, --list)",
    needs: "packages",
    steps: [
      [...launcher, "build", "--quiet"],
      ["node", "--conditions=codex:source", "deploy/abuse/src/main.ts"],
    ],
  },
  "audit:ledger": {
    description: "is every invariant of the books true? exit 0 yes, 1 no, 2 could not look (--seals, --against FILE)",
    needs: "packages",
    steps: [["node", "--conditions=codex:source", "deploy/local/audit-ledger.ts"]],
  },
  chaos: {
    description:
      "kill, stop and cut the real processes by a seed, then compare the books (--seed, --minutes, --scenario, --list)",
    needs: "packages",
    steps: [
      [...launcher, "build", "--quiet"],
      ["node", "--conditions=codex:source", "deploy/chaos/src/main.ts"],
    ],
  },
  check: {
    description: "formatting, lint, import boundaries, types, dead code, generated files",
    needs: "packages",
    steps: [
      ["node", "node_modules/prettier/bin/prettier.cjs", "--check", "--log-level=warn", ...prettierFiles],
      ["node", "node_modules/eslint/bin/eslint.js", "."],
      ["node", "node_modules/@typescript/native/bin/tsc", "-p", "tsconfig.json", "--noEmit"],
      ["node", "node_modules/knip/bin/knip.js"],
      ["node", "node_modules/@typescript/native/bin/tsc", "-p", "services/dashboard/tsconfig.json"],
      ["node", "--conditions=codex:source", "deploy/docs/generate.ts"],
      ["git", "add", "--intent-to-add", "--", "docs"],
      ["git", "diff", "--exit-code", "--stat", "--", "docs/contracts", "docs/errors.md", "docs/adr/README.md"],
    ],
  },
  generate: {
    description: "write the generated documents anew: contracts, OpenAPI, errors, index of decisions",
    needs: "packages",
    steps: [["node", "--conditions=codex:source", "deploy/docs/generate.ts"]],
  },
  build: {
    description: "compile every package and the dashboard; does nothing when nothing changed (--force builds anyway)",
    needs: "packages",
    steps: [[...launcher, "build"]],
  },
  lint: {
    description: "ESLint with type information and import boundaries (--fix repairs what it can)",
    needs: "packages",
    steps: [["node", "node_modules/eslint/bin/eslint.js", "."]],
  },
  format: {
    description: "rewrite files in the one format (Prettier)",
    needs: "packages",
    steps: [["node", "node_modules/prettier/bin/prettier.cjs", "--write", "--log-level=warn", ...prettierFiles]],
  },
  "bench:ledger": {
    description: "how fast the ledger is, on servers of its own (deploy/bench-ledger/README.md; takes minutes)",
    needs: "packages",
    steps: [
      [...launcher, "build", "--quiet"],
      ["node", "--conditions=codex:source", "deploy/bench-ledger/src/main.ts"],
    ],
  },
  "bench:gateway": {
    description:
      "what a request costs on the gateway, beside nginx, a bare hop and Portkey (deploy/bench-gateway/README.md)",
    needs: "packages",
    steps: [
      [...launcher, "build", "--quiet"],
      ["node", "--conditions=codex:source", "deploy/bench-gateway/src/main.ts"],
    ],
  },
  "bench:revocation": {
    description:
      "how long a revoked key is served on, by five gateways at 200 requests a second (deploy/bench-revocation/README.md)",
    needs: "packages",
    steps: [
      [...launcher, "build", "--quiet"],
      ["node", "--conditions=codex:source", "deploy/bench-revocation/src/main.ts"],
    ],
  },
  code: {
    description: "the six digits that the demo operator's second factor shows just now",
    needs: "packages",
    steps: [["node", "--conditions=codex:source", "deploy/local/operator-code.ts"]],
  },
  help: {
    description: "this list",
    needs: "nothing",
    steps: [],
  },
};

/** The table as text, for `npm run help` and for an unknown command. */
export function helpText() {
  const width = Math.max(...Object.keys(commands).map((name) => name.length));
  // npm knows these without "run".
  const short = new Set(["start", "stop", "test"]);
  const lines = Object.entries(commands).map(([name, command]) => {
    const call = short.has(name) ? `npm ${name}` : `npm run ${name}`;
    return `  ${call.padEnd(width + 8)}  ${command.description}`;
  });
  return [
    "Commands. Arguments go behind two dashes: npm start -- --detach. With pnpm: pnpm start --detach, pnpm run help, …",
    "",
    ...lines,
    "",
    "Options of start: --detach, --port-base N. More in deploy/local/README.md.",
  ].join("\n");
}
