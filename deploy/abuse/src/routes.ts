import { openApiDocument, type Route } from "@codex/http";
import fc from "fast-check";
import { z } from "zod";
import { registries } from "../../docs/registries.ts";
import { jsonSchema, valuesOf, type JsonSchema } from "./schema-values.ts";

/** Every route that any service serves under /api and /images, with what our own OpenAPI document says of its input. */

export interface Parameter {
  readonly name: string;
  readonly in: "path" | "query" | "header";
  readonly required: boolean;
  readonly schema: JsonSchema;
}

export interface Target {
  readonly service: string;
  readonly route: Route;
  /** "PATCH /api/keys/:keyId" */
  readonly name: string;
  readonly parameters: readonly Parameter[];
  readonly body: JsonSchema | undefined;
  /** All that the document names. */
  readonly statuses: ReadonlySet<number>;
}

const operation = z.looseObject({
  operationId: z.string(),
  parameters: z.array(
    z.object({ name: z.string(), in: z.enum(["path", "query", "header"]), required: z.boolean(), schema: jsonSchema }),
  ),
  responses: z.record(z.string(), z.unknown()),
  requestBody: z.looseObject({ content: z.record(z.string(), z.looseObject({ schema: jsonSchema })) }).optional(),
});
const document = z.looseObject({ paths: z.record(z.string(), z.record(z.string(), operation)) });

export const targets: readonly Target[] = Object.entries(registries).flatMap(([service, routes]) => {
  const declared = routes();
  const { paths } = document.parse(openApiDocument(service, declared));
  const operations = new Map(
    Object.values(paths)
      .flatMap((methods) => Object.values(methods))
      .map((one) => [one.operationId, one]),
  );
  return declared.map((route): Target => {
    const found = operations.get(route.operationId);
    if (!found) throw new Error(`${route.operationId} is in the registry of ${service} and not in its document`);
    const body = found.requestBody?.content["application/json"]?.schema;
    const statuses = new Set(Object.keys(found.responses).map(Number));
    return { service, route, name: `${route.method} ${route.path}`, parameters: found.parameters, body, statuses };
  });
});

export const isUnsafe = ({ route }: Target): boolean => route.method !== "GET";
export const isGuarded = ({ route }: Target): boolean => route.auth === "session" || route.auth === "operator";

/** The path with a value in place of each parameter. */
export function pathWith(path: string, valueOf: (parameter: string) => string): string {
  return path.replaceAll(/:([A-Za-z]\w*)/g, (_whole, name: string) => valueOf(name));
}

export function pathParameters({ parameters }: Target): readonly Parameter[] {
  return parameters.filter((parameter) => parameter.in === "path");
}

/** A path of the right form whose objects nobody has. The same seed always gives the same. */
export function anyPathOf(target: Target, seed: number): string {
  const values = new Map(pathParameters(target).map(({ name, schema }) => [name, String(anyOf(schema, seed))]));
  return pathWith(target.route.path, (name) => values.get(name) ?? "x");
}

/** The least body that the document allows, as JSON; undefined for a route without one. */
export function leastBodyOf({ body }: Target, seed: number): string | undefined {
  return body === undefined ? undefined : JSON.stringify(anyOf(body, seed));
}

export function anyOf(schema: JsonSchema, seed: number): unknown {
  return fc.sample(valuesOf(schema, true), { seed, numRuns: 1 })[0];
}

/** For routes that want one. */
export function idempotencyHeader({ route }: Target, key: string): Readonly<Record<string, string>> {
  return route.idempotent ? { "idempotency-key": key } : {};
}

/** A password is hashed for each that gets through, a third of a second of a core: ask them seldom. */
export const hashesPassword: ReadonlySet<string> = new Set([
  "register",
  "verifyEmail",
  "makeFirstOperator",
  "signIn",
  "signInByLink",
  "resetPassword",
  "reauthenticate",
  "changePassword",
]);
