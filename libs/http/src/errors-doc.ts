import type { ErrorKind } from "@codex/kernel";
import { errorCatalogue } from "./error-catalogue.ts";
import type { ErrorEntry } from "./error-entry.ts";
import { httpStatusOf } from "./render.ts";

const retryOf = {
  invalid: "no",
  unauthenticated: "no",
  quota: "no",
  forbidden: "no",
  not_found: "no",
  method_not_allowed: "no",
  conflict: "no",
  too_large: "no",
  unsupported_media: "no",
  rate_limited: "yes, after `retry-after` seconds",
  internal: "yes, with back-off",
  upstream: "yes, with back-off, unless a part was already charged (`x-should-retry: false`)",
  unavailable: "yes, with back-off",
  timeout: "yes, with back-off, unless a part was already charged (`x-should-retry: false`)",
} as const satisfies Record<ErrorKind, string>;

const surfaceNames = { v1: "`/v1`", api: "`/api`" } as const;

const head = `# Error codes

Generated from \`libs/http/src/error-catalogue.ts\` by \`npm run generate\`; do not edit by hand.

Branch on the code, never on the text. Every error carries the request id, in the body and in the headers
\`x-request-id\` and \`request-id\`. Under \`/v1\` errors have the shape of the OpenAI API (on \`/v1/messages\` that of the
Anthropic API), under \`/api\` they are problem details (RFC 9457).
`;

function row(entry: ErrorEntry): string {
  return `| [\`${entry.code}\`](#${entry.code}) | ${String(httpStatusOf[entry.kind].status)} | ${entry.title} |`;
}

function section(entry: ErrorEntry): string {
  return `## ${entry.code}

${entry.title}.

- **Status**: ${String(httpStatusOf[entry.kind].status)}
- **Kind**: \`${entry.kind}\`
- **Where**: ${entry.surfaces.map((surface) => surfaceNames[surface]).join(", ")}
- **Retry**: ${retryOf[entry.kind]}
- **Cause**: ${entry.cause}
- **Fix**: ${entry.fix}
`;
}

/** The whole of docs/errors.md: a table of all codes, then one section each. */
export function renderErrorsDoc(): string {
  const table = ["| Code | Status | Meaning |", "|---|---|---|", ...errorCatalogue.map(row)].join("\n");
  return [head, `${table}\n`, ...errorCatalogue.map(section)].join("\n");
}
