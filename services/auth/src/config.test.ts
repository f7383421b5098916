import { loadConfig } from "@codex/runtime";
import { describe, expect, test } from "@jest/globals";
import { authConfig } from "./config.ts";

const good: Readonly<Record<string, string>> = {
  HTTP_PORT: "0",
  ADMIN_PORT: "0",
  DATABASE_URL: "postgres://auth_app:x@localhost:1/codex",
  NATS_URL: "nats://localhost:1",
  REDIS_URL: "redis://localhost:1",
  PUBLIC_ORIGIN: "http://localhost:8080",
  AUTH_SIGNING_SECRET: "a1x9-Kq7_Zr4mT2wVb8nY5sLd3hGf6jPc0e",
  AUTH_PASSWORD_PEPPER: "b1x9-Kq7_Zr4mT2wVb8nY5sLd3hGf6jPc0e",
  AUTH_THROTTLE_KEY: "c1x9-Kq7_Zr4mT2wVb8nY5sLd3hGf6jPc0e",
  AUTH_DATA_KEY: "d1x9-Kq7_Zr4mT2wVb8nY5sLd3hGf6jPc0e",
  AUTH_SMTP_URL: "smtp://localhost:1",
};
const secretNames = ["AUTH_SIGNING_SECRET", "AUTH_PASSWORD_PEPPER", "AUTH_THROTTLE_KEY", "AUTH_DATA_KEY"];
const optionalNames = [
  "AUTH_SIGNING_SECRET_PREVIOUS",
  "AUTH_SIGNING_SECRET_NEXT",
  "AUTH_PASSWORD_PEPPER_PREVIOUS",
  "AUTH_DATA_KEY_PREVIOUS",
  "AUTH_DATA_KEY_NEXT",
];

describe("settings of auth (SEC-08, SEC-13)", () => {
  test("given good settings, when they are loaded, then nothing old is there and no secret is printed", () => {
    const config = loadConfig(authConfig, good);
    expect(config).toMatchObject({ bcryptCost: 12, previousPepper: undefined, previousSigningSecret: undefined });
    expect(JSON.stringify(config)).not.toMatch(/[abcd]1x9/);
  });

  const wrong = ["changeme", "short", "x".repeat(40)];
  const cases = [
    ...secretNames.flatMap((name) => ["", ...wrong].map((value) => [name, value] as const)),
    ...optionalNames.flatMap((name) => wrong.map((value) => [name, value] as const)),
    ["REDIS_MODE", "sentinel"] as const,
    ["REDIS_MODE", "ring"] as const,
    ["AUTH_BCRYPT_COST", "11"] as const,
    ["AUTH_BCRYPT_COST", "12abc"] as const,
    ["AUTH_HASH_THREADS", "0"] as const,
    ["AUTH_PASSWORD_CHARACTERS_MIN", "8"] as const,
    ["AUTH_CONSENTS", "terms"] as const,
    ["AUTH_MAIL", "mailbox"] as const,
    ["AUTH_MAIL", "pigeon"] as const,
    ["AUTH_SMTP_URL", ""] as const,
  ];
  test.each(cases)("given %s=%j, when it is loaded, then it is refused by name", (name, value) => {
    expect(() => loadConfig(authConfig, { ...good, [name]: value })).toThrow(name);
  });

  test("given no mail server, when registration stays open, then it is refused; closed, it starts", () => {
    const off = { ...good, AUTH_MAIL: "off", AUTH_SMTP_URL: undefined };
    expect(() => loadConfig(authConfig, off)).toThrow("AUTH_REGISTRATION");
    expect(loadConfig(authConfig, { ...off, AUTH_REGISTRATION: "closed" })).toMatchObject({ mail: { kind: "off" } });
  });

  test.each([...secretNames.slice(1), ...optionalNames])(
    "given %s equal to the signing secret, when it is loaded, then it is refused",
    (name) => {
      const same = good["AUTH_SIGNING_SECRET"] ?? "";
      expect(() => loadConfig(authConfig, { ...good, [name]: same })).toThrow("same value");
    },
  );
});
