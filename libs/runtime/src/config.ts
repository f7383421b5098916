import type { z } from "zod";
import { fieldFacts } from "./env.ts";
import { Secret } from "./secret.ts";

/** Upper case with underscores, units last: `SHUTDOWN_GRACE_MS`. */
export type EnvName = string;
export type EnvSource = Readonly<Record<string, string | undefined>>;
type Fields = Readonly<Record<EnvName, z.ZodType>>;
type Values<F extends Fields> = { readonly [K in keyof F]: z.output<F[K]> };

/** A problem between fields; `consequence` says what would follow from starting nevertheless. */
export interface CheckProblem {
  readonly variable: string;
  readonly problem: string;
  readonly consequence?: string;
}
export interface ConfigProblem {
  readonly variable: string;
  readonly problem: string;
  readonly consequence: string;
}

/** Made by `defineConfig`, read by `loadConfig`; the shape of the fields is inside. */
export interface ConfigSpec<T> {
  readonly service: string;
  readonly fields: Fields;
  readonly distinctSecrets: readonly EnvName[];
  readonly build: (values: Readonly<Record<string, unknown>>) => T;
  readonly check: (values: Readonly<Record<string, unknown>>) => readonly CheckProblem[];
}

/** The message is for a person: every wrong variable, why, and what follows. No value is in it. */
export class ConfigError extends Error {
  readonly problems: readonly ConfigProblem[];

  constructor(service: string, problems: readonly ConfigProblem[]) {
    const count = problems.length === 1 ? "1 setting is wrong" : `${String(problems.length)} settings are wrong`;
    const lines = problems.map(
      ({ variable, problem, consequence }) => `  ${variable} ${problem}.\n      ${consequence}`,
    );
    super(
      `${service} does not start: ${count}.\n\n${lines.join("\n")}\n\nCorrect the environment; --validate checks it without starting.`,
    );
    this.name = "ConfigError";
    this.problems = problems;
  }
}

/**
 * Declares the settings of one service.
 * `build` turns checked values into the service's own object; it runs only when nothing is wrong.
 * `check` is for rules between fields; it runs only when every field is right by itself.
 * `distinctSecrets` narrows which secrets must differ from each other; by default all of them (SEC-08).
 */
export function defineConfig<const F extends Fields, T>(spec: {
  readonly service: string;
  readonly fields: F;
  readonly build: (values: Values<F>) => T;
  readonly distinctSecrets?: readonly (keyof F & EnvName)[];
  readonly check?: (values: Values<F>) => readonly CheckProblem[];
}): ConfigSpec<T> {
  for (const name of Object.keys(spec.fields)) {
    if (!/^[A-Z][A-Z0-9_]*$/.test(name))
      throw new Error(`${spec.service}: ${name} is not the name of an environment variable`);
  }
  const secrets = Object.entries(spec.fields).filter(([, field]) => fieldFacts.get(field)?.secret);
  return Object.freeze({
    service: spec.service,
    fields: spec.fields,
    distinctSecrets: spec.distinctSecrets ?? secrets.map(([name]) => name),
    // `loadConfig` fills the record from exactly these fields, so the record has this type.
    build: (values) => spec.build(values as Values<F>),
    check: (values) => spec.check?.(values as Values<F>) ?? [],
  } satisfies ConfigSpec<T>);
}

/**
 * Parses `source` by the spec. Strict: nothing is trimmed, coerced or guessed. Variables that the spec does not name are
 * ignored. Returns a deeply frozen value; throws ConfigError with all problems at once.
 */
export function loadConfig<T>(spec: ConfigSpec<T>, source: EnvSource): T {
  const values: Record<string, unknown> = {};
  const found: CheckProblem[] = [];
  for (const [variable, field] of Object.entries(spec.fields)) {
    const result = field.safeParse(source[variable]);
    if (result.success) values[variable] = result.data;
    else found.push({ variable, problem: result.error.issues.map((issue) => issue.message).join("; ") });
  }
  found.push(...sameSecrets(spec, source));
  if (found.length === 0) found.push(...samePorts(values), ...spec.check(values));
  if (found.length > 0) {
    throw new ConfigError(
      spec.service,
      found.map((problem) => ({
        ...problem,
        consequence: problem.consequence ?? consequenceOf(spec, problem.variable),
      })),
    );
  }
  return deepFreeze(spec.build(values));
}

/** One row per field, in the order of the spec: for README tables and `--help`. */
export function describeConfig<T>(
  spec: ConfigSpec<T>,
): { name: string; description: string; default?: string; secret: boolean; required: boolean }[] {
  return Object.entries(spec.fields).map(([name, field]) => {
    const facts = fieldFacts.get(field);
    return {
      name,
      description: field.description ?? "",
      ...(facts?.default === undefined ? {} : { default: facts.default }),
      secret: facts?.secret ?? false,
      required: facts?.required ?? !field.safeParse(undefined).success,
    };
  });
}

/** The one place of this library that reads the environment; only `runService` calls it. */
export function processEnvironment(): EnvSource {
  return process.env;
}

/** Compares the raw texts, so that two equal secrets are named as equal even when they are too short as well. */
function sameSecrets<T>(spec: ConfigSpec<T>, source: EnvSource): CheckProblem[] {
  const firstOf = new Map<string, string>();
  const problems: CheckProblem[] = [];
  for (const variable of spec.distinctSecrets) {
    const text = source[variable];
    if (text === undefined || text === "") continue;
    const first = firstOf.get(text);
    if (first === undefined) firstOf.set(text, variable);
    else {
      problems.push({
        variable,
        problem: `has the same value as ${first}`,
        consequence: "Who learns one of them has both, and what one signs the other accepts. Give each its own value.",
      });
    }
  }
  return problems;
}

function samePorts(values: Readonly<Record<string, unknown>>): CheckProblem[] {
  const port = values["ADMIN_PORT"];
  if (port === undefined || port === 0 || port !== values["HTTP_PORT"]) return [];
  return [
    {
      variable: "ADMIN_PORT",
      problem: "is the same as HTTP_PORT",
      consequence: "Two listeners cannot share a port, and metrics must not be public.",
    },
  ];
}

function consequenceOf<T>(spec: ConfigSpec<T>, variable: string): string {
  const field = spec.fields[variable];
  const consequence = field === undefined ? undefined : fieldFacts.get(field)?.consequence;
  if (consequence !== undefined) return consequence;
  const description = field?.description;
  return description === undefined
    ? `${spec.service} cannot run without a correct value.`
    : `${spec.service} cannot run without a correct value; it means: ${description}`;
}

function deepFreeze<T>(value: T): T {
  if (typeof value !== "object" || value === null || Object.isFrozen(value) || value instanceof Secret) return value;
  // Only our own data: a frozen Map, Buffer or client object would break or would not be frozen at all.
  const prototype: unknown = Object.getPrototypeOf(value);
  if (prototype !== Object.prototype && prototype !== Array.prototype && prototype !== null) return value;
  Object.freeze(value);
  for (const inner of Object.values(value)) deepFreeze(inner);
  return value;
}
