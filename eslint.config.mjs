import boundaries from "eslint-plugin-boundaries";
import tseslint from "typescript-eslint";
import { boundaryRules, boundarySettings } from "./eslint.boundaries.mjs";
import { securityPlugin, securityRules } from "./eslint.security.mjs";

const strict = {
  "@typescript-eslint/switch-exhaustiveness-check": ["error", { considerDefaultExhaustiveForUnions: true }],
  "@typescript-eslint/consistent-type-imports": "error",
  "@typescript-eslint/restrict-template-expressions": ["error", { allowNumber: true, allowBoolean: true }],
  "@typescript-eslint/no-confusing-void-expression": ["error", { ignoreArrowShorthand: true }],
  "@typescript-eslint/unbound-method": "off",
  "no-console": "error",
  eqeqeq: ["error", "always", { null: "ignore" }],
  // Code points are what we count on purpose (SEC-10); grapheme clusters would make a limit depend on the Unicode version.
  "@typescript-eslint/no-misused-spread": ["error", { allow: [{ from: "lib", name: "string" }, "string"] }],
  "max-lines-per-function": ["error", { max: 70, skipBlankLines: true, skipComments: true }],
  "max-lines": ["error", { max: 400, skipBlankLines: true, skipComments: true }],
  "no-restricted-syntax": [
    "error",
    { selector: "ExportDefaultDeclaration", message: "Named exports only." },
    {
      selector: "CallExpression[callee.object.name='process'][callee.property.name='exit']",
      message: "Set process.exitCode and let the scope close.",
    },
    {
      selector: "MemberExpression[object.name='process'][property.name='env']",
      message: "Only a package's config.ts reads the environment.",
    },
  ],
};

export default tseslint.config(
  {
    ignores: [
      "**/dist/**",
      "**/node_modules/**",
      ".codex/**",
      "coverage/**",
      "docs/**",
      "**/*.mjs",
      "**/*.cjs",
      "**/*.d.ts",
    ],
  },
  ...tseslint.configs.strictTypeChecked,
  {
    files: ["**/*.ts", "**/*.tsx"],
    plugins: { boundaries, security: securityPlugin },
    languageOptions: {
      parserOptions: {
        project: ["./tsconfig.json", "./services/dashboard/tsconfig.json"],
        tsconfigRootDir: import.meta.dirname,
      },
    },
    settings: boundarySettings,
    rules: { ...strict, ...boundaryRules, ...securityRules },
  },
  // Tests enter a service by HTTP, bus or its exported start, and may use every library, the testkit included.
  {
    files: ["**/*.test.ts", "**/tests/**/*.ts"],
    rules: {
      "boundaries/dependencies": "off",
      // A test compares what it made itself, and puts its own text into statements.
      "security/constant-time": "off",
      "security/parameterised-sql": "off",
      "max-lines-per-function": "off",
      "max-lines": "off",
      "@typescript-eslint/no-non-null-assertion": "off",
      "@typescript-eslint/require-await": "off",
      "@typescript-eslint/no-misused-spread": "off",
    },
  },
  {
    files: ["**/config.ts", "**/migrate.ts", "**/jest-env.ts"],
    rules: { "no-restricted-syntax": ["error", ...strict["no-restricted-syntax"].slice(1, 3)] },
  },
);
