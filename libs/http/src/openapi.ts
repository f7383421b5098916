import { problem } from "@codex/contracts";
import { z } from "zod";
import { sessionCookieName } from "./cookies.ts";
import { csrfHeader } from "./csrf.ts";
import { findError } from "./error-catalogue.ts";
import { httpStatusOf } from "./render.ts";
import {
  guardCodes,
  idempotencyKeyHeader,
  idempotencyKeyPattern,
  needsCsrf,
  pathParamPattern,
  type Route,
} from "./route.ts";

type Json = Record<string, unknown>;

/** The wire form: of a codec the side that travels, for requests and answers alike. */
function wireSchema(schema: z.ZodType): Json {
  const json: Json = { ...z.toJSONSchema(schema, { io: "input", unrepresentable: "any" }) };
  // The dialect is the one of OpenAPI 3.1 already; repeated in each schema it is noise.
  delete json["$schema"];
  return json;
}

function parameters(route: Route): Json[] {
  const from = (schema: z.ZodType | undefined, where: "path" | "query"): Json[] => {
    if (!(schema instanceof z.ZodObject)) return [];
    const { properties = {}, required = [] } = wireSchema(schema) as { properties?: Json; required?: string[] };
    return Object.entries(properties).map(([name, value]) => ({
      name,
      in: where,
      required: where === "path" || required.includes(name),
      schema: value,
    }));
  };
  const csrf = { name: csrfHeader, in: "header", required: true, schema: { type: "string", const: "1" } };
  const idempotencyKey = {
    name: idempotencyKeyHeader,
    in: "header",
    required: true,
    schema: { type: "string", pattern: idempotencyKeyPattern.source },
  };
  return [
    ...from(route.request.params, "path"),
    ...from(route.request.query, "query"),
    ...(needsCsrf(route) ? [csrf] : []),
    ...(route.idempotent ? [idempotencyKey] : []),
  ];
}

function errorResponses(route: Route): [string, Json][] {
  const codes = [...new Set([...route.errors, ...guardCodes(route)])].toSorted();
  const byStatus = Map.groupBy(codes, (code) => httpStatusOf[findError(code)?.kind ?? "internal"].status);
  return [...byStatus].map(([status, group]) => [
    String(status),
    {
      description: group.map((code) => `\`${code}\``).join(", "),
      content: { "application/problem+json": { schema: { $ref: "#/components/schemas/Problem" } } },
    },
  ]);
}

function successResponses(route: Route): [string, Json][] {
  return Object.entries(route.responses).map(([status, schema]) => [
    status,
    {
      description: "Done.",
      ...(schema ? { content: { "application/json": { schema: wireSchema(schema) } } } : {}),
      ...mediaContent(route, Number(status)),
    },
  ]);
}

function mediaContent(route: Route, status: number): Json {
  const mediaType = route.media?.[status]?.split(";")[0];
  return mediaType === undefined ? {} : { content: { [mediaType]: { schema: { type: "string" } } } };
}

function operation(route: Route): Json {
  const { body } = route.request;
  const hasSession = route.auth === "session" || route.auth === "operator";
  return {
    operationId: route.operationId,
    summary: route.summary,
    parameters: parameters(route),
    ...(body ? { requestBody: { required: true, content: { "application/json": { schema: wireSchema(body) } } } } : {}),
    // What the handler declares wins where a status has both.
    responses: Object.fromEntries(
      [...errorResponses(route), ...successResponses(route)].toSorted(([a], [b]) => Number(a) - Number(b)),
    ),
    security: hasSession ? [{ session: [] }] : [],
    "x-auth": route.auth,
    ...(route.auth === "operator" ? { "x-roles": route.roles ?? ["admin"] } : {}),
    "x-owner": route.owner,
    "x-rate-class": route.rateClass,
    "x-body-limit-bytes": route.bodyLimitBytes,
  };
}

/** OpenAPI 3.1 of a service, from its registry; the same registry always gives the same document. */
export function openApiDocument(service: string, routes: readonly Route[]): Json {
  const paths: Record<string, Json> = {};
  for (const route of routes.toSorted((a, b) => (a.path < b.path ? -1 : a.path > b.path ? 1 : 0))) {
    const template = route.path.replaceAll(pathParamPattern, "{$1}");
    paths[template] = { ...paths[template], [route.method.toLowerCase()]: operation(route) };
  }
  return {
    openapi: "3.1.1",
    info: { title: service, version: "1" },
    paths,
    components: {
      schemas: { Problem: wireSchema(problem) },
      securitySchemes: { session: { type: "apiKey", in: "cookie", name: sessionCookieName } },
    },
  };
}
