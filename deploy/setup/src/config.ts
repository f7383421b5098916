import { defineConfig, env, type Secret } from "@codex/runtime";

/** Schemas of the services, each with two roles: `<schema>_owner` migrates, `<schema>_app` runs. */
export const schemas = ["auth", "keys", "gateway", "billing", "images", "bonus"] as const;
export type Schema = (typeof schemas)[number];

export interface SetupConfig {
  readonly adminUrl: string;
  readonly natsServers: readonly string[];
  readonly natsReplicas: 1 | 3 | 5;
  readonly passwords: Readonly<Record<Schema, { readonly owner: Secret; readonly app: Secret }>>;
}

const password = (schema: Schema, role: "owner" | "app") =>
  env.secret({ bytesMin: 16 }).describe(`Password of the Postgres role ${schema}_${role}`);

export const setupConfig = defineConfig({
  service: "setup",
  fields: {
    ADMIN_DATABASE_URL: env
      .url({ protocols: ["postgres", "postgresql"] })
      .describe("Postgres, a role that may create roles and schemas"),
    NATS_URL: env.urls({ protocols: ["nats", "tls"] }).describe("NATS servers, comma separated"),
    NATS_REPLICAS: env
      .oneOf(["1", "3", "5"], { default: "1" })
      .describe("Copies of every stream and bucket; 3 on a cluster"),
    AUTH_OWNER_PASSWORD: password("auth", "owner"),
    AUTH_APP_PASSWORD: password("auth", "app"),
    KEYS_OWNER_PASSWORD: password("keys", "owner"),
    KEYS_APP_PASSWORD: password("keys", "app"),
    GATEWAY_OWNER_PASSWORD: password("gateway", "owner"),
    GATEWAY_APP_PASSWORD: password("gateway", "app"),
    BILLING_OWNER_PASSWORD: password("billing", "owner"),
    BILLING_APP_PASSWORD: password("billing", "app"),
    IMAGES_OWNER_PASSWORD: password("images", "owner"),
    IMAGES_APP_PASSWORD: password("images", "app"),
    BONUS_OWNER_PASSWORD: password("bonus", "owner"),
    BONUS_APP_PASSWORD: password("bonus", "app"),
  },
  build: (values): SetupConfig => ({
    adminUrl: values.ADMIN_DATABASE_URL,
    natsServers: values.NATS_URL,
    natsReplicas: values.NATS_REPLICAS === "1" ? 1 : values.NATS_REPLICAS === "3" ? 3 : 5,
    passwords: {
      auth: { owner: values.AUTH_OWNER_PASSWORD, app: values.AUTH_APP_PASSWORD },
      keys: { owner: values.KEYS_OWNER_PASSWORD, app: values.KEYS_APP_PASSWORD },
      gateway: { owner: values.GATEWAY_OWNER_PASSWORD, app: values.GATEWAY_APP_PASSWORD },
      billing: { owner: values.BILLING_OWNER_PASSWORD, app: values.BILLING_APP_PASSWORD },
      images: { owner: values.IMAGES_OWNER_PASSWORD, app: values.IMAGES_APP_PASSWORD },
      bonus: { owner: values.BONUS_OWNER_PASSWORD, app: values.BONUS_APP_PASSWORD },
    },
  }),
});
