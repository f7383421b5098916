import { problem } from "@codex/contracts";
import { z } from "zod";
import { root } from "./config.ts";
import { jsonOf, type Answer } from "./visitor.ts";

/** What every answer has to hold, whatever was sent (SEC-09). Each answers a sentence about what is wrong, or undefined. */

/** Of our insides: none of it is in any answer. */
const leaks: readonly (readonly [string, RegExp])[] = [
  ["a stack", /\bat (?:async )?[\w.<>]* ?\(?(?:file:|node:|\/)[^\s)]*:\d+/],
  ["a source file", /\.(?:ts|js|mjs):\d+/],
  ["a package", /node_modules|\b(?:kysely|ioredis|undici|zod|bcrypt)\b/i],
  [
    "SQL",
    /\b(?:syntax error at|violates .* constraint|duplicate key value|relation "|column "|invalid input syntax|out of range for type|select .+ from |insert into |SQLSTATE)/i,
  ],
  ["an upstream", /ECONN|ENOTFOUND|EPIPE|\b(?:nats|postgres|postgresql|redis):\/\/|127\.0\.0\.1:\d+/],
  [
    "a variable of the environment",
    /\b(?:DATABASE|NATS|REDIS|AUTH|KEYS|BILLING|GATEWAY|IMAGES|BONUS)_URL\b|\b(?:SECRET|PEPPER)\b/,
  ],
  [
    "a JavaScript error",
    /\b(?:TypeError|ReferenceError|RangeError|SyntaxError|Cannot read propert|is not a function|Unexpected token)/,
  ],
];

/** `own`: what stands in the answer by right, because who asked has set it. */
export function leakIn(answer: Answer, secrets: readonly string[], own: readonly string[] = []): string | undefined {
  const text = own.reduce((left, value) => left.replaceAll(value, ""), answer.text);
  const whole = `${JSON.stringify(answer.headers)}\n${answer.text}`;
  if (whole.includes(root)) return "a path of this machine";
  if (secrets.some((secret) => whole.includes(secret))) return "a secret";
  return leaks.find(([, pattern]) => pattern.test(text))?.[0];
}

const problemForm = problem.strict();

/** RFC 9457, no more and no less than the contract, and the request id in both places. */
export function problemFormOf(answer: Answer): string | undefined {
  if (answer.status < 400) return undefined;
  if (answer.headers["content-type"] !== "application/problem+json")
    return `content type ${answer.headers["content-type"] ?? "none"}`;
  const parsed = problemForm.safeParse(jsonOf(answer.text));
  if (!parsed.success) return "it is no problem of the contract";
  if (parsed.data.status !== answer.status) return "its status is another";
  return parsed.data.requestId === answer.headers["x-request-id"] ? undefined : "its request id is another";
}

const openAiError = z.strictObject({
  error: z.strictObject({
    message: z.string().min(1),
    type: z.string(),
    param: z.string().nullable(),
    code: z.string(),
    metadata: z.record(z.string(), z.unknown()).optional(),
  }),
});
const anthropicError = z.strictObject({
  type: z.literal("error"),
  error: z.strictObject({ type: z.string(), message: z.string().min(1) }),
  request_id: z.string(),
});

/** As the clients of OpenAI and Anthropic read it. */
export function apiErrorFormOf(answer: Answer): string | undefined {
  if (answer.status < 400) return undefined;
  if (!(answer.headers["content-type"] ?? "").startsWith("application/json"))
    return `content type ${answer.headers["content-type"] ?? "none"}`;
  const form = z.union([openAiError, anthropicError]).safeParse(jsonOf(answer.text));
  if (!form.success) return "it is no error of either dialect";
  return answer.headers["x-request-id"] === undefined ? "it has no request id" : undefined;
}
