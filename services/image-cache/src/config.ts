import { commonConfig, commonFields, defineConfig, env, type CommonConfig } from "@codex/runtime";

export interface ImageCacheConfig {
  readonly common: CommonConfig;
  readonly databaseUrl: string;
  readonly natsServers: readonly string[];
  readonly publicOrigin: string;
  readonly trustedProxyCount: number;
  readonly accountBytesMax: number;
}

export const imageCacheConfig = defineConfig({
  service: "image-cache",
  fields: {
    ...commonFields,
    DATABASE_URL: env.url({ protocols: ["postgres", "postgresql"] }).describe("Postgres, role images_app"),
    NATS_URL: env.urls({ protocols: ["nats", "tls"] }).describe("NATS servers, comma separated"),
    PUBLIC_ORIGIN: env.url({ protocols: ["http", "https"] }).describe("Origin of the dashboard, for sessions and CSRF"),
    TRUSTED_PROXY_COUNT: env
      .integer({ min: 0, max: 5, default: 0 })
      .describe("Proxies in front that set x-forwarded-for"),
    IMAGE_ACCOUNT_MAX_BYTES: env
      .integer({ min: 1_048_576, max: 1_099_511_627_776, default: 536_870_912 })
      .describe("Bytes of images that an account may have in the cache"),
  },
  build: (values): ImageCacheConfig => ({
    common: commonConfig(values),
    databaseUrl: values.DATABASE_URL,
    natsServers: values.NATS_URL,
    publicOrigin: values.PUBLIC_ORIGIN,
    trustedProxyCount: values.TRUSTED_PROXY_COUNT,
    accountBytesMax: values.IMAGE_ACCOUNT_MAX_BYTES,
  }),
});
