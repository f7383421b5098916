import { commonConfig, commonFields, defineConfig, env, type CommonConfig } from "@codex/runtime";

export interface TelegramBonusConfig {
  readonly common: CommonConfig;
  readonly databaseUrl: string;
  readonly natsServers: readonly string[];
  readonly publicOrigin: string;
  readonly trustedProxyCount: number;
}

export const telegramBonusConfig = defineConfig({
  service: "telegram-bonus",
  fields: {
    ...commonFields,
    DATABASE_URL: env.url({ protocols: ["postgres", "postgresql"] }).describe("Postgres, role bonus_app"),
    NATS_URL: env.urls({ protocols: ["nats", "tls"] }).describe("NATS servers, comma separated"),
    PUBLIC_ORIGIN: env.url({ protocols: ["http", "https"] }).describe("Origin of the dashboard, for sessions and CSRF"),
    TRUSTED_PROXY_COUNT: env
      .integer({ min: 0, max: 5, default: 0 })
      .describe("Proxies in front that set x-forwarded-for"),
  },
  build: (values): TelegramBonusConfig => ({
    common: commonConfig(values),
    databaseUrl: values.DATABASE_URL,
    natsServers: values.NATS_URL,
    publicOrigin: values.PUBLIC_ORIGIN,
    trustedProxyCount: values.TRUSTED_PROXY_COUNT,
  }),
});
