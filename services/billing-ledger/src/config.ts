import { commonConfig, commonFields, defineConfig, env, type CommonConfig, type Secret } from "@codex/runtime";
import { operationConfig, operationFields, type OperationConfig } from "./operation-config.ts";

export interface BillingConfig {
  readonly common: CommonConfig;
  readonly databaseUrl: string;
  readonly natsServers: readonly string[];
  readonly publicOrigin: string;
  readonly trustedProxyCount: number;
  readonly leaseTtlMs: number;
  readonly leaseReclaimAfterMs: number;
  readonly leaseReclaimEveryMs: number;
  readonly usageWriters: number;
  readonly usageLingerMs: number;
  readonly usageRoundMs: number;
  readonly balanceRoundMs: number;
  readonly pricePollMs: number;
  readonly priceStaleMs: number;
  readonly receiptKey: Secret;
  readonly receiptKeyDays: number;
  readonly operations: OperationConfig;
  readonly alertRoundMs: number;
  readonly bonusExpiryRoundMs: number;
  readonly auditEveryMs: number;
  readonly auditFullEveryMs: number;
}

const databaseUrl = env.url({ protocols: ["postgres", "postgresql"] });
const publicOrigin = env.url({ protocols: ["http", "https"] });
const receiptKey = env
  .secret({ bytesMin: 32 })
  .describe("seals the private half of the key that signs receipts; after a change, run rotate-receipt-key");

export const config = defineConfig({
  service: "billing-ledger",
  fields: {
    ...commonFields,
    DATABASE_URL: databaseUrl.describe("Postgres, role billing_app"),
    NATS_URL: env.urls({ protocols: ["nats", "tls"] }).describe("NATS servers, comma separated"),
    PUBLIC_ORIGIN: publicOrigin.describe("origin of the dashboard, for sessions; issuer of receipts"),
    TRUSTED_PROXY_COUNT: env
      .integer({ min: 0, max: 5, default: 0 })
      .describe("proxies in front that set x-forwarded-for"),
    LEASE_TTL_MS: env
      .integer({ min: 1_000, max: 3_600_000, default: 60_000 })
      .describe("how long a worker may admit requests on a lease; frees no money by itself"),
    LEASE_RECLAIM_AFTER_MS: env
      .integer({ min: 60_000, max: 2_592_000_000, default: 86_400_000 })
      .describe("silence of a worker after which its money goes back to the customers; its late usage is written off"),
    LEASE_RECLAIM_EVERY_MS: env
      .integer({ min: 100, max: 3_600_000, default: 60_000 })
      .describe("between two looks for leases of lost workers"),
    USAGE_WRITERS: env
      .integer({ min: 1, max: 8, default: 2 })
      .describe("database connections of this replica that write usage; more than two bring little on one machine"),
    USAGE_LINGER_MS: env
      .integer({ min: 0, max: 1_000, default: 5 })
      .describe("how long a transaction waits for more usage, of all its partitions"),
    USAGE_ROUND_MS: env
      .integer({ min: 20, max: 60_000, default: 1_000 })
      .describe("between two looks for partitions without an owner; bounds how long a dead replica's stay idle"),
    BALANCE_ROUND_MS: env
      .integer({ min: 20, max: 60_000, default: 500 })
      .describe("between two rounds that publish balances changed by usage; an account's newest state, once a round"),
    PRICE_POLL_MS: env
      .integer({ min: 20, max: 60_000, default: 500 })
      .describe("between two looks for a new price version"),
    PRICE_STALE_MS: env
      .integer({ min: 0, max: 86_400_000, default: 300_000 })
      .describe("how long after its successor took effect a price version may be used without an alarm"),
    AUDIT_EVERY_MS: env
      .integer({ min: 100, max: 3_600_000, default: 60_000 })
      .describe("between two audits of what was written since the last clean one; one replica at a time"),
    AUDIT_FULL_EVERY_MS: env
      .integer({ min: 1_000, max: 604_800_000, default: 86_400_000 })
      .describe("age of the last clean full audit at which everything is audited again"),
    BILLING_RECEIPT_KEY: receiptKey,
    RECEIPT_KEY_DAYS: env
      .integer({ min: 1, max: 3_650, default: 90 })
      .describe("age at which the key that signs receipts is replaced"),
    ...operationFields,
    ALERT_ROUND_MS: env
      .integer({ min: 20, max: 600_000, default: 2_000 })
      .describe("between two looks for balances below their owners' thresholds"),
    BONUS_EXPIRY_ROUND_MS: env
      .integer({ min: 20, max: 3_600_000, default: 60_000 })
      .describe("between two looks for bonus whose time is over"),
  },
  build: (values): BillingConfig => ({
    common: commonConfig(values),
    databaseUrl: values.DATABASE_URL,
    natsServers: values.NATS_URL,
    publicOrigin: values.PUBLIC_ORIGIN,
    trustedProxyCount: values.TRUSTED_PROXY_COUNT,
    leaseTtlMs: values.LEASE_TTL_MS,
    leaseReclaimAfterMs: values.LEASE_RECLAIM_AFTER_MS,
    leaseReclaimEveryMs: values.LEASE_RECLAIM_EVERY_MS,
    usageWriters: values.USAGE_WRITERS,
    usageLingerMs: values.USAGE_LINGER_MS,
    usageRoundMs: values.USAGE_ROUND_MS,
    balanceRoundMs: values.BALANCE_ROUND_MS,
    pricePollMs: values.PRICE_POLL_MS,
    priceStaleMs: values.PRICE_STALE_MS,
    receiptKey: values.BILLING_RECEIPT_KEY,
    receiptKeyDays: values.RECEIPT_KEY_DAYS,
    operations: operationConfig(values),
    alertRoundMs: values.ALERT_ROUND_MS,
    bonusExpiryRoundMs: values.BONUS_EXPIRY_ROUND_MS,
    auditEveryMs: values.AUDIT_EVERY_MS,
    auditFullEveryMs: values.AUDIT_FULL_EVERY_MS,
  }),
});

/** Of the one-shot migrator. */
export const migrateConfig = defineConfig({
  service: "billing-ledger migrate",
  fields: { DATABASE_OWNER_URL: databaseUrl.describe("Postgres, role billing_owner") },
  build: (values) => ({ databaseOwnerUrl: values.DATABASE_OWNER_URL }),
});

/** Of the one-shot that replaces the key of receipts. */
export const rotateConfig = defineConfig({
  service: "billing-ledger rotate-receipt-key",
  fields: {
    DATABASE_URL: databaseUrl.describe("Postgres, role billing_app"),
    PUBLIC_ORIGIN: publicOrigin.describe("issuer of receipts"),
    BILLING_RECEIPT_KEY: receiptKey,
  },
  build: (values) => ({
    databaseUrl: values.DATABASE_URL,
    publicOrigin: values.PUBLIC_ORIGIN,
    receiptKey: values.BILLING_RECEIPT_KEY,
  }),
});

/** Of the one-shot price import: the service's own role is enough. */
export const importConfig = defineConfig({
  service: "billing-ledger import-prices",
  fields: {
    DATABASE_URL: env.optional(databaseUrl).describe("Postgres, role billing_app"),
    DATABASE_OWNER_URL: env.optional(databaseUrl).describe("Postgres, role billing_owner, when the other is absent"),
  },
  check: (values) =>
    values.DATABASE_URL === undefined && values.DATABASE_OWNER_URL === undefined
      ? [{ variable: "DATABASE_URL", problem: "is not set, and neither is DATABASE_OWNER_URL" }]
      : [],
  build: (values) => ({ databaseUrl: values.DATABASE_URL ?? values.DATABASE_OWNER_URL ?? "" }),
});

/** Of the one-shot reclaim: the service's own role, and the bus only for the form of its events. */
export const reclaimConfig = defineConfig({
  service: "billing-ledger reclaim",
  fields: {
    DATABASE_URL: databaseUrl.describe("Postgres, role billing_app"),
    NATS_URL: env.urls({ protocols: ["nats", "tls"] }).describe("NATS servers, comma separated"),
  },
  build: (values) => ({ databaseUrl: values.DATABASE_URL, natsServers: values.NATS_URL }),
});

/** Of the one-shot replay of quarantined records. */
export const replayConfig = defineConfig({
  service: "billing-ledger replay-quarantine",
  fields: { DATABASE_URL: databaseUrl.describe("Postgres, role billing_app") },
  build: (values) => ({ databaseUrl: values.DATABASE_URL }),
});

/** Of the one-shot audit. */
export const auditConfig = defineConfig({
  service: "billing-ledger audit",
  fields: { DATABASE_URL: databaseUrl.describe("Postgres, any role that may read the schema") },
  build: (values) => ({ databaseUrl: values.DATABASE_URL }),
});

/** The environment of the one-shot programs. */
export function environment(): Readonly<Record<string, string | undefined>> {
  return process.env;
}
