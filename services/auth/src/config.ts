import { commonConfig, commonFields, defineConfig, env, type CommonConfig, type Secret } from "@codex/runtime";

export interface AuthConfig {
  readonly common: CommonConfig;
  readonly databaseUrl: string;
  readonly natsServers: readonly string[];
  readonly redisUrl: string;
  readonly publicOrigin: string;
  readonly trustedProxyCount: number;
  readonly signingSecret: Secret;
  readonly previousSigningSecret: Secret | undefined;
  readonly pepper: Secret;
  readonly previousPepper: Secret | undefined;
  readonly throttleKey: Secret;
  readonly bcryptCost: number;
  readonly hashThreads: number;
}

export const authConfig = defineConfig({
  service: "auth",
  fields: {
    ...commonFields,
    DATABASE_URL: env.url({ protocols: ["postgres", "postgresql"] }).describe("Postgres, role auth_app"),
    NATS_URL: env.urls({ protocols: ["nats", "tls"] }).describe("NATS servers, comma separated"),
    REDIS_URL: env.url({ protocols: ["redis", "rediss"] }).describe("Redis for sign-in throttles"),
    PUBLIC_ORIGIN: env.url({ protocols: ["http", "https"] }).describe("Origin of the dashboard; issuer of sessions"),
    TRUSTED_PROXY_COUNT: env
      .integer({ min: 0, max: 5, default: 0 })
      .describe("Proxies in front that set x-forwarded-for"),
    AUTH_SIGNING_SECRET: env
      .secret({ bytesMin: 32 })
      .describe("The key that signs browser sessions is derived from it"),
    AUTH_SIGNING_SECRET_PREVIOUS: env
      .optional(env.secret({ bytesMin: 32 }))
      .describe("The signing secret before the last change; still accepted, so that nobody is signed out"),
    AUTH_PASSWORD_PEPPER: env
      .secret({ bytesMin: 32 })
      .describe("Enters every password hash; losing it loses every password"),
    AUTH_PASSWORD_PEPPER_PREVIOUS: env
      .optional(env.secret({ bytesMin: 32 }))
      .describe("The pepper before the last change; keep it until everybody has signed in once, which renews the hash"),
    AUTH_THROTTLE_KEY: env
      .secret({ bytesMin: 32 })
      .describe("Turns addresses into the keys of the throttle; may change at any time"),
    AUTH_BCRYPT_COST: env.integer({ min: 12, max: 16, default: 12 }).describe("log2 of bcrypt's rounds for new hashes"),
    AUTH_HASH_THREADS: env
      .integer({ min: 1, max: 64, default: 2 })
      .describe("Passwords hashed at once; as many as cores"),
  },
  build: (values): AuthConfig => ({
    common: commonConfig(values),
    databaseUrl: values.DATABASE_URL,
    natsServers: values.NATS_URL,
    redisUrl: values.REDIS_URL,
    publicOrigin: values.PUBLIC_ORIGIN,
    trustedProxyCount: values.TRUSTED_PROXY_COUNT,
    signingSecret: values.AUTH_SIGNING_SECRET,
    previousSigningSecret: values.AUTH_SIGNING_SECRET_PREVIOUS,
    pepper: values.AUTH_PASSWORD_PEPPER,
    previousPepper: values.AUTH_PASSWORD_PEPPER_PREVIOUS,
    throttleKey: values.AUTH_THROTTLE_KEY,
    bcryptCost: values.AUTH_BCRYPT_COST,
    hashThreads: values.AUTH_HASH_THREADS,
  }),
});
