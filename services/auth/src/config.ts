import { redisFields, redisOf, redisProblems, type RedisSettings } from "@codex/redis";
import type { Consent } from "./domain/account.ts";
import { commonConfig, commonFields, defineConfig, env, type CommonConfig, type Secret } from "@codex/runtime";

export interface AuthConfig {
  readonly common: CommonConfig;
  readonly databaseUrl: string;
  readonly natsServers: readonly string[];
  readonly redis: RedisSettings;
  readonly publicOrigin: string;
  readonly trustedProxyCount: number;
  readonly signingSecret: Secret;
  readonly previousSigningSecret: Secret | undefined;
  readonly nextSigningSecret: Secret | undefined;
  readonly pepper: Secret;
  readonly previousPepper: Secret | undefined;
  readonly throttleKey: Secret;
  readonly dataKey: Secret;
  readonly previousDataKey: Secret | undefined;
  readonly nextDataKey: Secret | undefined;
  readonly bcryptCost: number;
  readonly hashThreads: number;
  readonly mail: MailConfig;
  readonly mailsPerNetworkPerHour: number;
  /** Failed sign-ins of everybody within ten minutes. */
  readonly alarmFailures: number;
  readonly registration: "open" | "invite" | "closed";
  readonly passwordCharactersMin: number;
  readonly breachedPasswordsFile: string | undefined;
  readonly consents: readonly Consent[];
}

export type MailConfig =
  | { readonly kind: "smtp"; readonly url: string; readonly from: string }
  | { readonly kind: "mailbox" }
  | { readonly kind: "off" };

const consentsPattern =
  /^(none|[a-z][a-z0-9-]{0,39}:[A-Za-z0-9._-]{1,40}(,[a-z][a-z0-9-]{0,39}:[A-Za-z0-9._-]{1,40}){0,9})$/;

function consentsOf(text: string): readonly Consent[] {
  if (text === "none") return [];
  return text.split(",").map((entry) => {
    const [document = "", version = ""] = entry.split(":");
    return { document, version };
  });
}

export const authConfig = defineConfig({
  service: "auth",
  fields: {
    ...commonFields,
    DATABASE_URL: env.url({ protocols: ["postgres", "postgresql"] }).describe("Postgres, role auth_app"),
    NATS_URL: env.urls({ protocols: ["nats", "tls"] }).describe("NATS servers, comma separated"),
    ...redisFields("Redis for sign-in throttles and the names of browsers, comma separated"),
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
    AUTH_SIGNING_SECRET_NEXT: env
      .optional(env.secret({ bytesMin: 32 }))
      .describe("The signing secret after the next change; published a day before, so that everybody knows it in time"),
    AUTH_PASSWORD_PEPPER: env
      .secret({ bytesMin: 32 })
      .describe("Enters every password hash; losing it loses every password"),
    AUTH_PASSWORD_PEPPER_PREVIOUS: env
      .optional(env.secret({ bytesMin: 32 }))
      .describe("The pepper before the last change; keep it until everybody has signed in once, which renews the hash"),
    AUTH_THROTTLE_KEY: env
      .secret({ bytesMin: 32 })
      .describe("Turns addresses into the keys of the throttle; may change at any time"),
    AUTH_DATA_KEY: env
      .secret({ bytesMin: 32 })
      .describe("Seals the secrets of authenticator apps; losing it loses them"),
    AUTH_DATA_KEY_PREVIOUS: env
      .optional(env.secret({ bytesMin: 32 }))
      .describe("The data key before the last change; a start with it brings everything under the present one"),
    AUTH_DATA_KEY_NEXT: env
      .optional(env.secret({ bytesMin: 32 }))
      .describe("The data key after the next change, so that processes may be changed one by one"),
    AUTH_BCRYPT_COST: env.integer({ min: 12, max: 16, default: 12 }).describe("log2 of bcrypt's rounds for new hashes"),
    AUTH_HASH_THREADS: env
      .integer({ min: 1, max: 64, default: 2 })
      .describe("Passwords hashed at once; as many as cores"),
    AUTH_MAIL: env
      .oneOf(["smtp", "mailbox", "off"], { default: "smtp" })
      .describe("Where mails go: a mail server, the public mailbox page of a demo, or nowhere"),
    AUTH_SMTP_URL: env
      .optional(env.url({ protocols: ["smtp", "smtps"] }))
      .describe("Mail server, smtps://user:password@host:465"),
    AUTH_MAIL_FROM: env
      .text({ default: "Codex API <no-reply@localhost>" })
      .describe("Sender of mails, as it stands in their header"),
    AUTH_MAILS_PER_NETWORK_PER_HOUR: env
      .integer({ min: 1, max: 100_000, default: 60 })
      .describe("Registrations and links that one network (/24, /64) may ask for in an hour"),
    AUTH_ALARM_FAILURES: env
      .integer({ min: 10, max: 1_000_000, default: 500 })
      .describe("Failed sign-ins of all accounts within ten minutes at which operators are told"),
    AUTH_REGISTRATION: env
      .oneOf(["open", "invite", "closed"], { default: "open" })
      .describe("Who may register: everybody, who was invited, or nobody"),
    AUTH_PASSWORD_CHARACTERS_MIN: env.integer({ min: 12, max: 64, default: 12 }).describe("The shortest new password"),
    AUTH_BREACHED_PASSWORDS_FILE: env
      .optional(env.text())
      .describe("Sorted SHA-1 hashes of breached passwords, which nobody may choose; the README says how to make it"),
    AUTH_CONSENTS: env
      .text({ default: "terms:1,personal-data:1", pattern: consentsPattern })
      .describe('Documents that a new customer agrees to, each with its version; "none"'),
  },
  check: (values) => [
    ...redisProblems(values),
    ...(values.AUTH_MAIL === "smtp" && values.AUTH_SMTP_URL === undefined
      ? [
          {
            variable: "AUTH_SMTP_URL",
            problem: "is not set, but AUTH_MAIL is smtp",
            consequence: "Nobody could register or reset a password. Without a mail server set AUTH_MAIL to off.",
          },
        ]
      : []),
    ...(values.AUTH_MAIL === "mailbox" && values.NODE_ENV === "production"
      ? [
          {
            variable: "AUTH_MAIL",
            problem: "must not be mailbox in production",
            consequence: "Everybody could read every link and take over every account.",
          },
        ]
      : []),
    ...(values.AUTH_MAIL === "off" && values.AUTH_REGISTRATION !== "closed"
      ? [
          {
            variable: "AUTH_REGISTRATION",
            problem: "must be closed when AUTH_MAIL is off",
            consequence: "Registrations would wait for a mail that never comes.",
          },
        ]
      : []),
  ],
  build: (values): AuthConfig => ({
    common: commonConfig(values),
    databaseUrl: values.DATABASE_URL,
    natsServers: values.NATS_URL,
    redis: redisOf(values),
    publicOrigin: values.PUBLIC_ORIGIN,
    trustedProxyCount: values.TRUSTED_PROXY_COUNT,
    signingSecret: values.AUTH_SIGNING_SECRET,
    previousSigningSecret: values.AUTH_SIGNING_SECRET_PREVIOUS,
    nextSigningSecret: values.AUTH_SIGNING_SECRET_NEXT,
    pepper: values.AUTH_PASSWORD_PEPPER,
    previousPepper: values.AUTH_PASSWORD_PEPPER_PREVIOUS,
    throttleKey: values.AUTH_THROTTLE_KEY,
    dataKey: values.AUTH_DATA_KEY,
    previousDataKey: values.AUTH_DATA_KEY_PREVIOUS,
    nextDataKey: values.AUTH_DATA_KEY_NEXT,
    bcryptCost: values.AUTH_BCRYPT_COST,
    hashThreads: values.AUTH_HASH_THREADS,
    mail:
      values.AUTH_MAIL === "smtp"
        ? { kind: "smtp", url: values.AUTH_SMTP_URL ?? "", from: values.AUTH_MAIL_FROM }
        : { kind: values.AUTH_MAIL },
    mailsPerNetworkPerHour: values.AUTH_MAILS_PER_NETWORK_PER_HOUR,
    alarmFailures: values.AUTH_ALARM_FAILURES,
    registration: values.AUTH_REGISTRATION,
    passwordCharactersMin: values.AUTH_PASSWORD_CHARACTERS_MIN,
    breachedPasswordsFile: values.AUTH_BREACHED_PASSWORDS_FILE,
    consents: consentsOf(values.AUTH_CONSENTS),
  }),
});
