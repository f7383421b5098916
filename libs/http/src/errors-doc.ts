import { AppError, type ErrorKind } from "@codex/kernel";
import { errorCatalogue } from "./error-catalogue.ts";
import type { ErrorEntry } from "./error-entry.ts";
import { httpStatusOf, toAnthropicError, toOpenAiError } from "./render.ts";

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
\`x-request-id\` and \`request-id\`. Under \`/v1\` errors have the shape of the OpenAI API; on \`/v1/messages\`, and wherever a
request has an \`anthropic-version\` header, that of the Anthropic API. Under \`/api\` they are problem details (RFC 9457).

Two things are as the clients expect them and not as the code: a refusal for money has OpenAI's \`code: "insufficient_quota"\`, ours
is in \`metadata.reason\`; and Anthropic's form has no code, only a type.

## In a stream

Before the first byte an error is an ordinary answer with its status. After it, or after a sign of life (a comment, or Anthropic's
\`ping\`), the status is sent already, and the error is the last event. There is no \`[DONE]\`, \`response.completed\` or \`message_stop\`
after it: a cut answer never looks like a whole one. What was delivered is charged, at most.

| Route | Last events |
|---|---|
| \`/v1/chat/completions\`, \`/v1/completions\` | \`data:\` with the OpenAI body |
| \`/v1/responses\` | \`event: error\` with \`code\`, \`message\`, \`param\`; then \`event: response.failed\` with \`response.error\` |
| \`/v1/messages\` | \`event: error\` with the Anthropic body |
| \`/v1/images/*\`, \`/v1/audio/*\` with events | \`event: error\` with OpenAI's \`error\` object |
| \`/v1/audio/speech\` as bytes | none: the connection is broken |

## All codes
`;

const statusOf = (entry: ErrorEntry): number => entry.status ?? httpStatusOf[entry.kind].status;
const isV1 = ({ surfaces }: ErrorEntry): boolean => surfaces.includes("v1");

function rendered(entry: ErrorEntry) {
  const error = new AppError({ kind: entry.kind, code: entry.code, publicMessage: "…", retryAfterSeconds: 1 });
  return { openAi: toOpenAiError(error, "req_…"), anthropic: toAnthropicError(error, "req_…") };
}

function row(entry: ErrorEntry): string {
  const { openAi, anthropic } = rendered(entry);
  const types = isV1(entry) ? [`\`${openAi.body.error.type}\``, `\`${anthropic.body.error.type}\``] : ["", ""];
  const retry = openAi.headers["x-should-retry"] === undefined ? "" : "`false`";
  const cells = [`[\`${entry.code}\`](#${entry.code})`, String(statusOf(entry)), ...types, retry, entry.title];
  return `| ${cells.join(" | ")} |`;
}

/** The headers that tell a client whether and when to come again. */
function headersOf(entry: ErrorEntry): string {
  const { headers } = rendered(entry).openAi;
  if (headers["x-should-retry"] !== undefined) return `\`x-should-retry: ${headers["x-should-retry"]}\``;
  return waits.has(entry.kind) ? "`retry-after` in whole seconds, `retry-after-ms`" : "none of its own";
}

const waits: ReadonlySet<ErrorKind> = new Set(["rate_limited", "unavailable", "timeout"]);

/** As they are sent, without what differs from one to the next. */
function bodiesOf(entry: ErrorEntry): string {
  if (!isV1(entry)) return "";
  const { openAi, anthropic } = rendered(entry);
  return `- **OpenAI body**: \`${JSON.stringify(openAi.body)}\`
- **Anthropic body**: \`${JSON.stringify(anthropic.body)}\`
`;
}

function section(entry: ErrorEntry): string {
  return `## ${entry.code}

${entry.title}.

- **Status**: ${String(statusOf(entry))}
- **Kind**: \`${entry.kind}\`
- **Where**: ${entry.surfaces.map((surface) => surfaceNames[surface]).join(", ")}
- **Retry**: ${retryOf[entry.kind]}
- **Headers**: ${headersOf(entry)}
${bodiesOf(entry)}- **Cause**: ${entry.cause}
- **Fix**: ${entry.fix}
`;
}

/** The whole of docs/errors.md: a table of all codes, then one section each. */
export function renderErrorsDoc(): string {
  const titles = "| Code | Status | OpenAI `type` | Anthropic `type` | `x-should-retry` | Meaning |";
  const table = [titles, "|---|---|---|---|---|---|", ...errorCatalogue.map(row)].join("\n");
  return [head, `${table}\n`, ...errorCatalogue.map(section)].join("\n");
}
