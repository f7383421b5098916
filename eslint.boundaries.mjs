import boundaries from "eslint-plugin-boundaries";
import tseslint from "typescript-eslint";

// Import direction only, without type information, so that the test which plants violations can lint files that do not exist.

/** The layers of docs/architecture.md. An element is a folder; the first pattern that fits names it. */
const elements = [
  { type: "kernel", pattern: "libs/kernel" },
  { type: "contracts", pattern: "libs/contracts" },
  { type: "testkit", pattern: "libs/testkit" },
  { type: "dialects", pattern: "libs/dialects" },
  { type: "lib", pattern: "libs/*", capture: ["lib"] },
  { type: "ui-app", pattern: "services/dashboard/src/app" },
  { type: "domain", pattern: "services/*/src/domain", capture: ["service"] },
  { type: "app", pattern: "services/*/src/app", capture: ["service"] },
  { type: "edge", pattern: "services/*/src/(http|bus|store|upstream|workers)", capture: ["service"] },
  { type: "feature", pattern: "services/dashboard/src/features/*", capture: ["feature"] },
  { type: "shared-ui", pattern: "services/dashboard/src/shared" },
  { type: "service", pattern: "services/*", capture: ["service"] },
  { type: "tooling", pattern: ["deploy/*", "tests"] },
];

/** Reads: this element may import those; `own` = the same service's. */
const sameService = { service: "{{ from.element.captured.service }}" };
const own = (...types) => ({ to: { element: { types: { anyOf: types }, captured: sameService } } });
const any = (...types) => ({ to: { element: { types: { anyOf: types } } } });
const policies = [
  { allow: { to: { module: { origin: "external" } } } },
  { allow: { to: { module: { origin: "core" } } } },
  // The domain is pure: no library at all, and no sibling but the two leaves.
  { from: { element: { type: "domain" } }, disallow: { to: { module: { origin: "external" } } } },
  { from: { element: { type: "contracts" } }, allow: any("kernel", "contracts") },
  { from: { element: { type: "kernel" } }, allow: any("kernel") },
  // Conversion is pure: no library at all, and no sibling but the kernel.
  { from: { element: { type: "dialects" } }, disallow: { to: { module: { origin: "external" } } } },
  { from: { element: { type: "dialects" } }, allow: any("kernel", "dialects") },
  { from: { element: { type: "lib" } }, allow: any("kernel", "contracts", "lib") },
  { from: { element: { type: "testkit" } }, allow: any("kernel", "contracts", "lib", "testkit") },
  { from: { element: { type: "domain" } }, allow: any("kernel", "contracts") },
  { from: { element: { type: "domain" } }, allow: own("domain") },
  { from: { element: { type: "app" } }, allow: any("kernel", "contracts") },
  { from: { element: { type: "app" } }, allow: own("domain", "app") },
  { from: { element: { type: "edge" } }, allow: any("kernel", "contracts", "dialects", "lib") },
  { from: { element: { type: "edge" } }, allow: own("domain", "app", "edge", "service") },
  { from: { element: { type: "feature" } }, allow: any("kernel", "contracts", "shared-ui") },
  {
    from: { element: { type: "feature" } },
    allow: { to: { element: { type: "feature", captured: { feature: "{{ from.element.captured.feature }}" } } } },
  },
  { from: { element: { type: "shared-ui" } }, allow: any("kernel", "contracts", "shared-ui") },
  { from: { element: { type: "ui-app" } }, allow: any("kernel", "contracts", "feature", "shared-ui", "ui-app") },
  { from: { element: { type: "service" } }, allow: any("kernel", "contracts", "dialects", "lib") },
  { from: { element: { type: "service" } }, allow: own("domain", "app", "edge", "service") },
  {
    from: { element: { type: "tooling" } },
    allow: any("kernel", "contracts", "dialects", "lib", "testkit", "service", "tooling"),
  },
];

export const boundarySettings = {
  "boundaries/elements": elements,
  "boundaries/include": ["libs/**", "services/**", "deploy/**", "tests/**"],
  "import/resolver": {
    typescript: { conditionNames: ["codex:source", "types", "node", "import", "default"], project: "./tsconfig.json" },
  },
};

export const boundaryRules = {
  "boundaries/dependencies": ["error", { default: "disallow", checkAllOrigins: true, policies }],
  "boundaries/no-unknown-files": "error",
};

export default [
  {
    files: ["**/*.ts", "**/*.tsx"],
    plugins: { boundaries },
    languageOptions: { parser: tseslint.parser },
    settings: boundarySettings,
    rules: boundaryRules,
  },
];
