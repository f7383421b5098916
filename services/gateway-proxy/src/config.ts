import { redisFields, redisOf, redisProblems, type RedisSettings } from "@codex/redis";
import { commonConfig, commonFields, defineConfig, env, type CommonConfig, type Secret } from "@codex/runtime";
import type { Limits, LimitScope } from "./domain/limits.ts";

export interface GatewayConfig {
  readonly common: CommonConfig;
  readonly databaseUrl: string;
  readonly natsServers: readonly string[];
  readonly redis: RedisSettings;
  readonly publicOrigin: string;
  readonly trustedProxyCount: number;
  readonly channelKey: Secret;
  /** Grows with each change of `channelKey`. */
  readonly channelKeyVersion: number;
  readonly channelKeyPrevious: Secret | undefined;
  readonly spoolDirectory: string;
  readonly spoolBytesMax: number;
  readonly spoolAgeMaxMs: number;
  readonly keyCacheBoundMs: number;
  readonly unknownKeysPerMinute: number;
  readonly keyReportsPerMinute: number;
  readonly keyReportSignersFile: string | undefined;
  /** Of one key, and of all keys of an account; the owner may set less for a key. */
  readonly limits: Readonly<Record<LimitScope, Limits>>;
  readonly slotLeaseMs: number;
  readonly firstByteTimeoutMs: number;
  readonly betweenBytesTimeoutMs: number;
  readonly upstreamConnectionsMax: number;
  readonly keepAliveMs: number;
  readonly bodyMemoryBytes: number;
  readonly realtimeSessionsMax: number;
  readonly realtimeIdleMs: number;
  readonly realtimeSessionMs: number;
}

export const gatewayConfig = defineConfig({
  service: "gateway-proxy",
  fields: {
    ...commonFields,
    DATABASE_URL: env
      .url({ protocols: ["postgres", "postgresql"] })
      .describe("Postgres, role gateway_app; control plane only"),
    NATS_URL: env.urls({ protocols: ["nats", "tls"] }).describe("NATS servers, comma separated"),
    ...redisFields("Redis for rate limits and channels' bounds, comma separated; without it each worker counts alone"),
    PUBLIC_ORIGIN: env.url({ protocols: ["http", "https"] }).describe("Origin of the dashboard, for sessions and CSRF"),
    TRUSTED_PROXY_COUNT: env
      .integer({ min: 0, max: 5, default: 0 })
      .describe("Proxies in front that set x-forwarded-for"),
    GATEWAY_CHANNEL_KEY: env
      .secret({ bytesMin: 32 })
      .describe("Master key: wraps the keys that seal upstream secrets; see docs/channels.md"),
    GATEWAY_CHANNEL_KEY_VERSION: env
      .integer({ min: 1, max: 1_000_000, default: 1 })
      .describe("Version of the master key; one more with each change of it"),
    GATEWAY_CHANNEL_KEY_PREVIOUS: env
      .optional(env.secret({ bytesMin: 32 }))
      .describe("The master key before, until everything was re-wrapped"),
    GATEWAY_SPOOL_DIR: env.text().describe("Directory of the usage spool; must survive restarts, one worker each"),
    GATEWAY_SPOOL_MAX_BYTES: env
      .integer({ min: 1_048_576, max: 1_099_511_627_776, default: 1_073_741_824 })
      .describe("Unconfirmed bytes above which new requests get 503"),
    GATEWAY_SPOOL_MAX_AGE_MS: env
      .integer({ min: 10_000, max: 86_400_000, default: 900_000 })
      .describe("Age of the oldest unconfirmed record above which new requests get 503"),
    GATEWAY_KEY_CACHE_BOUND_MS: env
      .integer({ min: 500, max: 60_000, default: 5_000 })
      .describe("Age at which a cached key is not believed any more, even if its revocation was lost"),
    GATEWAY_KEY_REPORTS_PER_MINUTE: env
      .integer({ min: 1, max: 100_000, default: 30 })
      .describe("Leaked keys that one address may report in a minute, to each worker"),
    GATEWAY_KEY_REPORT_SIGNERS_FILE: env
      .optional(env.text())
      .describe("File of public keys, as GitHub lists its own, whose signed reports are not counted by address"),
    GATEWAY_UNKNOWN_KEYS_PER_MINUTE: env
      .integer({ min: 1, max: 1_000_000, default: 60 })
      .describe("Keys that do not exist which one address may have looked up in a minute, by each worker"),
    GATEWAY_REQUESTS_PER_MINUTE: env
      .integer({ min: 1, max: 1_000_000, default: 600 })
      .describe("Requests a minute a key may send"),
    GATEWAY_TOKENS_PER_MINUTE: env
      .integer({ min: 1, max: 1_000_000_000, default: 2_000_000 })
      .describe("Model tokens a minute a key may use, those from a cache too"),
    GATEWAY_CONCURRENT_REQUESTS: env
      .integer({ min: 1, max: 1_000_000, default: 100 })
      .describe("Requests that a key may have running at the same time"),
    GATEWAY_ACCOUNT_REQUESTS_PER_MINUTE: env
      .integer({ min: 1, max: 1_000_000, default: 1_200 })
      .describe("Requests a minute of all keys of an account"),
    GATEWAY_ACCOUNT_TOKENS_PER_MINUTE: env
      .integer({ min: 1, max: 1_000_000_000, default: 4_000_000 })
      .describe("Model tokens a minute of all keys of an account"),
    GATEWAY_ACCOUNT_CONCURRENT_REQUESTS: env
      .integer({ min: 1, max: 1_000_000, default: 200 })
      .describe("Running requests of all keys of an account"),
    GATEWAY_SLOT_LEASE_MS: env
      .integer({ min: 1_000, max: 600_000, default: 30_000 })
      .describe("How long the running requests of a worker that was killed still count"),
    GATEWAY_FIRST_BYTE_TIMEOUT_MS: env
      .integer({ min: 100, max: 900_000, default: 120_000 })
      .describe("Wait for an upstream's first byte before the next channel is tried"),
    GATEWAY_BETWEEN_BYTES_TIMEOUT_MS: env
      .integer({ min: 100, max: 900_000, default: 120_000 })
      .describe("Silence of a running upstream that counts as a cut"),
    GATEWAY_UPSTREAM_CONNECTIONS_MAX: env
      .integer({ min: 1, max: 65_536, default: 8_192 })
      .describe("Connections of a worker to one upstream: as many answers at a time; further ones wait"),
    GATEWAY_KEEP_ALIVE_MS: env
      .integer({ min: 100, max: 120_000, default: 10_000 })
      .describe("Silence after which a stream shows its client a sign of life"),
    GATEWAY_BODY_MEMORY_BYTES: env
      .integer({ min: 67_108_864, max: 68_719_476_736, default: 268_435_456 })
      .describe("Request bodies in memory, all together; above it large ones get 503"),
    GATEWAY_REALTIME_SESSIONS_MAX: env
      .integer({ min: 1, max: 100_000, default: 1_000 })
      .describe("Realtime sessions of a worker at the same time; further ones get 503"),
    GATEWAY_REALTIME_IDLE_MS: env
      .integer({ min: 1_000, max: 86_400_000, default: 600_000 })
      .describe("Silence of a client after which its realtime session is ended"),
    GATEWAY_REALTIME_SESSION_MS: env
      .integer({ min: 1_000, max: 86_400_000, default: 3_600_000 })
      .describe("Longest time of a realtime session"),
  },
  check: redisProblems,
  build: (values): GatewayConfig => ({
    common: commonConfig(values),
    databaseUrl: values.DATABASE_URL,
    natsServers: values.NATS_URL,
    redis: redisOf(values),
    publicOrigin: values.PUBLIC_ORIGIN,
    trustedProxyCount: values.TRUSTED_PROXY_COUNT,
    channelKey: values.GATEWAY_CHANNEL_KEY,
    channelKeyVersion: values.GATEWAY_CHANNEL_KEY_VERSION,
    channelKeyPrevious: values.GATEWAY_CHANNEL_KEY_PREVIOUS,
    spoolDirectory: values.GATEWAY_SPOOL_DIR,
    spoolBytesMax: values.GATEWAY_SPOOL_MAX_BYTES,
    spoolAgeMaxMs: values.GATEWAY_SPOOL_MAX_AGE_MS,
    keyCacheBoundMs: values.GATEWAY_KEY_CACHE_BOUND_MS,
    unknownKeysPerMinute: values.GATEWAY_UNKNOWN_KEYS_PER_MINUTE,
    keyReportsPerMinute: values.GATEWAY_KEY_REPORTS_PER_MINUTE,
    keyReportSignersFile: values.GATEWAY_KEY_REPORT_SIGNERS_FILE,
    limits: {
      key: {
        requestsPerMinute: values.GATEWAY_REQUESTS_PER_MINUTE,
        tokensPerMinute: values.GATEWAY_TOKENS_PER_MINUTE,
        concurrentRequests: values.GATEWAY_CONCURRENT_REQUESTS,
      },
      account: {
        requestsPerMinute: values.GATEWAY_ACCOUNT_REQUESTS_PER_MINUTE,
        tokensPerMinute: values.GATEWAY_ACCOUNT_TOKENS_PER_MINUTE,
        concurrentRequests: values.GATEWAY_ACCOUNT_CONCURRENT_REQUESTS,
      },
    },
    slotLeaseMs: values.GATEWAY_SLOT_LEASE_MS,
    firstByteTimeoutMs: values.GATEWAY_FIRST_BYTE_TIMEOUT_MS,
    betweenBytesTimeoutMs: values.GATEWAY_BETWEEN_BYTES_TIMEOUT_MS,
    upstreamConnectionsMax: values.GATEWAY_UPSTREAM_CONNECTIONS_MAX,
    keepAliveMs: values.GATEWAY_KEEP_ALIVE_MS,
    bodyMemoryBytes: values.GATEWAY_BODY_MEMORY_BYTES,
    realtimeSessionsMax: values.GATEWAY_REALTIME_SESSIONS_MAX,
    realtimeIdleMs: values.GATEWAY_REALTIME_IDLE_MS,
    realtimeSessionMs: values.GATEWAY_REALTIME_SESSION_MS,
  }),
});
