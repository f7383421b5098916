import { hostname } from "node:os";
import type { z } from "zod";
import { env } from "./env.ts";

export const logLevels = ["debug", "info", "warn", "error", "silent"] as const;
export type LogLevel = (typeof logLevels)[number];

/** Every service spreads these into its `fields`. Ports have no default: nobody would find a service on a random one. */
export const commonFields = {
  NODE_ENV: env
    .oneOf(["development", "test", "production"], { default: "production" })
    .describe("development and test switch on checks that production leaves out"),
  LOG_LEVEL: env.oneOf(logLevels, { default: "info" }).describe("least severe level that is written"),
  HTTP_HOST: env
    .text({ default: "127.0.0.1", pattern: /^[A-Za-z0-9.:_-]{1,253}$/ })
    .describe("address that the service and its admin listener bind to"),
  HTTP_PORT: env.integer({ min: 0, max: 65_535 }).describe("port of the service; 0 takes any free one"),
  ADMIN_PORT: env
    .integer({ min: 0, max: 65_535 })
    .describe("port of /livez, /readyz, /startupz and /metrics; 0 takes any free one; keep it inside the network"),
  OTEL_EXPORTER_OTLP_ENDPOINT: env
    .optional(env.url({ protocols: ["http", "https"] }))
    .describe("OTLP/HTTP collector for traces, without /v1/traces; absent: traces are not exported"),
  SHUTDOWN_GRACE_MS: env
    .integer({ min: 0, max: 10_000, default: 500 })
    .describe("how long the service goes on working after readiness fails, so that load balancers notice"),
  INSTANCE_ID: env
    .text({ default: `${hostname()}-${String(process.pid)}`, pattern: /^[\w.:-]{1,128}$/ })
    .describe("name of this replica in logs, traces and metrics"),
} as const;

export interface CommonConfig {
  readonly nodeEnv: "development" | "test" | "production";
  readonly logLevel: LogLevel;
  readonly httpHost: string;
  /** 0 = any free. */
  readonly httpPort: number;
  /** 0 = any free. */
  readonly adminPort: number;
  readonly otlpEndpoint?: string;
  readonly shutdownGraceMs: number;
  readonly instanceId: string;
}

export type CommonValues = { readonly [K in keyof typeof commonFields]: z.output<(typeof commonFields)[K]> };

/** For the `build` of a service: `build: (values) => ({ common: commonConfig(values), … })`. */
export function commonConfig(values: CommonValues): CommonConfig {
  const endpoint = values.OTEL_EXPORTER_OTLP_ENDPOINT;
  return {
    nodeEnv: values.NODE_ENV,
    logLevel: values.LOG_LEVEL,
    httpHost: values.HTTP_HOST,
    httpPort: values.HTTP_PORT,
    adminPort: values.ADMIN_PORT,
    ...(endpoint === undefined ? {} : { otlpEndpoint: endpoint }),
    shutdownGraceMs: values.SHUTDOWN_GRACE_MS,
    instanceId: values.INSTANCE_ID,
  };
}
