/** One configuration for every package. Run through `pnpm test`, which sets the flag that makes ESM real. */
export default {
  testMatch: ["<rootDir>/{libs,services,deploy,tests}/**/*.test.ts"],
  testPathIgnorePatterns: ["/node_modules/", "/dist/", "<rootDir>/.codex/"],
  modulePathIgnorePatterns: ["<rootDir>/.codex/", "/dist/"],
  extensionsToTreatAsEsm: [".ts"],
  testEnvironment: "node",
  // Jest adds "import" or "require" itself, by how a module is loaded; naming one here would break the other.
  testEnvironmentOptions: { customExportConditions: ["codex:source", "node", "node-addons"] },
  transform: {
    "^.+\\.ts$": [
      "@swc/jest",
      {
        jsc: { parser: { syntax: "typescript" }, target: "esnext", keepClassNames: true },
        module: { type: "es6" },
        sourceMaps: "inline",
      },
    ],
  },
  globalSetup: "<rootDir>/tests/global-setup.ts",
  globalTeardown: "<rootDir>/tests/global-teardown.ts",
  reporters: ["default", "<rootDir>/tests/failed-log-reporter.ts"],
  testTimeout: 30_000,
  maxWorkers: 2,
};
