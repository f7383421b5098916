import { commonConfig, commonFields, defineConfig, env, type CommonConfig, type Secret } from "@codex/runtime";

export interface KeyRegistryConfig {
  readonly common: CommonConfig;
  readonly databaseUrl: string;
  readonly natsServers: readonly string[];
  readonly publicOrigin: string;
  readonly trustedProxyCount: number;
  readonly brand: string;
  readonly repairIntervalMs: number;
  /** Undefined: repeat display is off. */
  readonly display:
    | {
        readonly key: Secret;
        readonly version: number;
        readonly previous: Secret | undefined;
        readonly next: Secret | undefined;
      }
    | undefined;
}

export const keyRegistryConfig = defineConfig({
  service: "key-registry",
  fields: {
    ...commonFields,
    DATABASE_URL: env.url({ protocols: ["postgres", "postgresql"] }).describe("Postgres, role keys_app"),
    NATS_URL: env.urls({ protocols: ["nats", "tls"] }).describe("NATS servers, comma separated"),
    PUBLIC_ORIGIN: env.url({ protocols: ["http", "https"] }).describe("Origin of the dashboard, for sessions and CSRF"),
    TRUSTED_PROXY_COUNT: env
      .integer({ min: 0, max: 5, default: 0 })
      .describe("Proxies in front that set x-forwarded-for"),
    KEY_BRAND: env
      .text({ default: "cx", pattern: /^[a-z][a-z0-9]{1,9}$/ })
      .describe("First part of new keys; old keys keep theirs"),
    KEY_REPAIR_INTERVAL_MS: env
      .integer({ min: 50, max: 3_600_000, default: 60_000 })
      .describe("Pause between two looks for revocations that the bucket lacks"),
    KEY_DISPLAY_KEY: env
      .optional(env.secret({ bytesMin: 32 }))
      .describe(
        "Master key of repeat display; absent: off, and no key is kept in any form. Taking it away forgets what was kept",
      ),
    KEY_DISPLAY_KEY_VERSION: env
      .integer({ min: 1, max: 1_000_000, default: 1 })
      .describe("Version of the master key; one more with each change of it"),
    KEY_DISPLAY_KEY_PREVIOUS: env
      .optional(env.secret({ bytesMin: 32 }))
      .describe("The master key before, until a start has re-wrapped everything"),
    KEY_DISPLAY_KEY_NEXT: env
      .optional(env.secret({ bytesMin: 32 }))
      .describe("The master key after the next change, so that processes may be changed one by one"),
  },
  build: (values): KeyRegistryConfig => ({
    common: commonConfig(values),
    databaseUrl: values.DATABASE_URL,
    natsServers: values.NATS_URL,
    publicOrigin: values.PUBLIC_ORIGIN,
    trustedProxyCount: values.TRUSTED_PROXY_COUNT,
    brand: values.KEY_BRAND,
    repairIntervalMs: values.KEY_REPAIR_INTERVAL_MS,
    display: values.KEY_DISPLAY_KEY && {
      key: values.KEY_DISPLAY_KEY,
      version: values.KEY_DISPLAY_KEY_VERSION,
      previous: values.KEY_DISPLAY_KEY_PREVIOUS,
      next: values.KEY_DISPLAY_KEY_NEXT,
    },
  }),
});
