import path from "node:path";
import { serverUsers } from "@codex/setup";
import type { SecretRequest } from "./secrets.ts";

/**
 * Every program of local mode: where it is, which ports it likes, what its environment is. The one table to change when a
 * service gets a new setting without a default.
 */

/** What an environment is made from. */
export interface Wiring {
  /** Origin of the edge, as browsers see it: http://localhost:8080 */
  readonly publicOrigin: string;
  /** Signed in as this user, or as the URL says on a server that somebody else runs. */
  readonly natsUrl: (user: string) => string;
  readonly redisUrl: (user: string) => string;
  /** Folder for a program's own files, made on demand. */
  readonly dataFolder: (name: string) => string;
  readonly databaseUrl: (schema: string, role: "owner" | "app") => string;
  readonly secret: (name: string) => string;
  /** http://127.0.0.1:<port> of another program. */
  readonly url: (name: string) => string;
  readonly port: (name: string) => number;
}

export interface ServiceDef {
  readonly name: string;
  /** On the step line and in run.json. */
  readonly title: string;
  /** Below the root; the program is <folder>/<entry>. */
  readonly folder: string;
  readonly entry: string;
  /** Programs of one wave start side by side; the next wave waits until they are ready. */
  readonly wave: 1 | 2 | 3;
  readonly httpPort: number;
  /** Probes and metrics; programs without an admin listener answer `readyPath` on their own port. */
  readonly adminPort: number | undefined;
  readonly readyPath: string;
  /** Postgres schema with its two roles; the migrator is <folder>/dist/migrate.js. */
  readonly schema: string | undefined;
  readonly secrets: readonly SecretRequest[];
  readonly env: (wiring: Wiring) => Readonly<Record<string, string>>;
}

/** What every service of ours reads. */
function common(wiring: Wiring, name: string, schema: string | undefined): Readonly<Record<string, string>> {
  return {
    NODE_ENV: "development",
    HTTP_HOST: "127.0.0.1",
    HTTP_PORT: String(wiring.port(`${name}.http`)),
    ADMIN_PORT: String(wiring.port(`${name}.admin`)),
    INSTANCE_ID: `${name}-local`,
    // Read by Node itself: the code that it compiled at the last start.
    NODE_COMPILE_CACHE: wiring.dataFolder("compile-cache"),
    // A service without a schema has nothing to say on the bus either.
    ...(schema === undefined ? {} : { NATS_URL: wiring.natsUrl(schema) }),
    PUBLIC_ORIGIN: wiring.publicOrigin,
    // The edge is the one proxy in front.
    TRUSTED_PROXY_COUNT: "1",
  };
}

type Draft = Pick<ServiceDef, "name" | "title" | "wave" | "httpPort" | "adminPort" | "schema"> & {
  readonly secrets?: readonly SecretRequest[];
  readonly env?: ServiceDef["env"];
};

function service(draft: Draft): ServiceDef {
  const { name, schema } = draft;
  return {
    ...draft,
    folder: `services/${name}`,
    entry: "dist/main.js",
    readyPath: "/readyz",
    secrets: draft.secrets ?? [],
    env: (wiring) => ({
      ...common(wiring, name, schema),
      ...(schema === undefined ? {} : { DATABASE_URL: wiring.databaseUrl(schema, "app") }),
      ...draft.env?.(wiring),
    }),
  };
}

export const services: readonly ServiceDef[] = [
  {
    name: "demo-upstream",
    title: "demo upstream",
    folder: "deploy/demo-upstream",
    entry: "dist/main.js",
    wave: 1,
    httpPort: 8110,
    adminPort: undefined,
    readyPath: "/_demo/journal",
    schema: undefined,
    secrets: [],
    env: (wiring) => ({ HOST: "127.0.0.1", PORT: String(wiring.port("demo-upstream.http")) }),
  },
  service({
    name: "auth",
    title: "auth",
    wave: 1,
    httpPort: 8101,
    adminPort: 8201,
    schema: "auth",
    secrets: ["AUTH_SIGNING_SECRET", "AUTH_PASSWORD_PEPPER", "AUTH_THROTTLE_KEY", "AUTH_DATA_KEY"].map((name) => ({
      name: `auth.${name}`,
      form: "base64",
    })),
    env: (wiring) => ({
      REDIS_URL: wiring.redisUrl("auth"),
      AUTH_SIGNING_SECRET: wiring.secret("auth.AUTH_SIGNING_SECRET"),
      AUTH_PASSWORD_PEPPER: wiring.secret("auth.AUTH_PASSWORD_PEPPER"),
      AUTH_THROTTLE_KEY: wiring.secret("auth.AUTH_THROTTLE_KEY"),
      AUTH_DATA_KEY: wiring.secret("auth.AUTH_DATA_KEY"),
      // Mails are shown on the page /mailbox: this profile is for one machine.
      AUTH_MAIL: "mailbox",
      AUTH_MAILS_PER_NETWORK_PER_HOUR: "1000",
    }),
  }),
  service({ name: "key-registry", title: "keys", wave: 1, httpPort: 8102, adminPort: 8202, schema: "keys" }),
  service({
    name: "billing-ledger",
    title: "billing",
    wave: 1,
    httpPort: 8103,
    adminPort: 8203,
    schema: "billing",
    secrets: [{ name: "billing-ledger.BILLING_RECEIPT_KEY", form: "base64" }],
    env: (wiring) => ({ BILLING_RECEIPT_KEY: wiring.secret("billing-ledger.BILLING_RECEIPT_KEY") }),
  }),
  service({ name: "image-cache", title: "images", wave: 1, httpPort: 8104, adminPort: 8204, schema: "images" }),
  service({ name: "telegram-bonus", title: "bonus", wave: 1, httpPort: 8105, adminPort: 8205, schema: "bonus" }),
  service({
    name: "gateway-proxy",
    title: "gateway",
    wave: 2,
    httpPort: 8090,
    adminPort: 8206,
    schema: "gateway",
    secrets: [{ name: "gateway-proxy.GATEWAY_CHANNEL_KEY", form: "base64" }],
    env: (wiring) => ({
      REDIS_URL: wiring.redisUrl("gateway"),
      GATEWAY_CHANNEL_KEY: wiring.secret("gateway-proxy.GATEWAY_CHANNEL_KEY"),
      GATEWAY_SPOOL_DIR: wiring.dataFolder("gateway-spool"),
    }),
  }),
  service({
    name: "dashboard",
    title: "dashboard",
    wave: 3,
    httpPort: 8080,
    adminPort: 8207,
    schema: undefined,
    env: (wiring) => ({
      AUTH_URL: wiring.url("auth"),
      KEYS_URL: wiring.url("key-registry"),
      BILLING_URL: wiring.url("billing-ledger"),
      GATEWAY_URL: wiring.url("gateway-proxy"),
      IMAGES_URL: wiring.url("image-cache"),
      BONUS_URL: wiring.url("telegram-bonus"),
    }),
  }),
];

/** Name of the edge in the table: its origin is the public one. */
export const edgeName = "dashboard";
export const gatewayName = "gateway-proxy";
export const demoUpstreamName = "demo-upstream";

export function serviceNamed(name: string): ServiceDef {
  const found = services.find((candidate) => candidate.name === name);
  if (found === undefined) throw new Error(`no service named ${name}`);
  return found;
}

/** Roles and passwords of the database schemas; hex, because they become part of URLs. */
export function databaseSecrets(): readonly SecretRequest[] {
  return services.flatMap(({ schema }) =>
    schema === undefined
      ? []
      : (["owner", "app"] as const).map((role) => ({ name: databaseSecretName(schema, role), form: "hex" as const })),
  );
}

/** Passwords of the services' users at NATS and Redis; hex for the same reason. */
export function serverUserSecrets(): readonly SecretRequest[] {
  const { nats, redis } = serverUsers((server, name) => serverUserSecretName(server, name));
  return [...nats, ...redis].map(({ password }) => ({ name: password, form: "hex" as const }));
}

export function serverUserSecretName(server: "nats" | "redis", user: string): string {
  return `${server}.${user}`;
}

export function databaseSecretName(schema: string, role: "owner" | "app"): string {
  return `database.${schema}_${role}`;
}

export function programOf(root: string, definition: ServiceDef, file: string = definition.entry): string {
  return path.join(root, definition.folder, file);
}
