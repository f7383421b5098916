import { randomBytes, randomUUID } from "node:crypto";
import { inspect } from "node:util";
import { describe, expect, test } from "@jest/globals";
import { z } from "zod";
import { commonConfig, commonFields } from "./common-config.ts";
import { ConfigError, defineConfig, describeConfig, loadConfig, type ConfigSpec, type EnvSource } from "./config.ts";
import { env } from "./env.ts";
import { Secret } from "./secret.ts";

const strong = (): string => randomBytes(32).toString("base64");

function one<T>(field: z.ZodType<T>): ConfigSpec<{ value: T }> {
  return defineConfig({ service: "sample", fields: { FIELD: field }, build: (values) => ({ value: values.FIELD }) });
}

function messageOf<T>(spec: ConfigSpec<T>, source: EnvSource): string {
  try {
    loadConfig(spec, source);
  } catch (error) {
    if (error instanceof ConfigError) return error.message;
    throw error;
  }
  return "accepted";
}

describe("field helpers", () => {
  const port = env.integer({ min: 1, max: 65_535, default: 80 });
  const nats = env.urls({ protocols: ["nats", "tls:"] });
  const origin = env.url({ originOnly: true });

  test.each<[string, z.ZodType, string | undefined, unknown]>([
    ["a whole number", port, "8080", 8080],
    ["a default that is used", port, undefined, 80],
    ["true", env.boolean(), "true", true],
    ["a boolean default", env.boolean({ default: false }), undefined, false],
    ["a listed value", env.oneOf(["a", "b"]), "b", "b"],
    ["a URL", env.url({ protocols: ["postgres"] }), "postgres://u:p@h/db", "postgres://u:p@h/db"],
    ["several URLs", nats, "nats://a:1, tls://b:2", ["nats://a:1", "tls://b:2"]],
    ["an origin", origin, "http://localhost:8080", "http://localhost:8080"],
    ["an absent optional", env.optional(port), undefined, undefined],
    ["an empty optional", env.optional(env.secret()), "", undefined],
    ["a present optional", env.optional(env.url()), "https://a.example", "https://a.example"],
    ["a plain zod type", z.string().optional(), undefined, undefined],
  ])("given %s, then it is accepted", (_what, field, text, expected) => {
    expect(loadConfig(one(field), { FIELD: text })).toEqual({ value: expected });
  });

  test.each<[string, z.ZodType, string | undefined, string]>([
    ["digits with letters", port, "30abc", "is not a whole number"],
    ["a space around digits", port, " 80", "is not a whole number"],
    ["hexadecimal", port, "0x50", "is not a whole number"],
    ["a leading zero", port, "080", "is not a whole number"],
    ["a fraction", port, "80.0", "is not a whole number"],
    ["more than a double can count", port, "9007199254740993", "is not a whole number"],
    ["a number above the bound", port, "65536", "must be from 1 to 65535"],
    ["a number below the bound", port, "0", "must be from 1 to 65535"],
    ["an empty value with a default", port, "", "is empty; remove the line to get the default 80"],
    ["a missing value", env.text(), undefined, "is not set"],
    ["yes for a boolean", env.boolean(), "yes", 'must be "true" or "false"'],
    ["TRUE for a boolean", env.boolean(), "TRUE", 'must be "true" or "false"'],
    ["a value that is not listed", env.oneOf(["a", "b"]), "c", "must be one of: a, b"],
    ["text that does not fit", env.text({ pattern: /^[a-z]+$/ }), "A", "does not have the form"],
    ["a line break", env.text(), "a\nb", "control character"],
    ["a very long value", env.text(), "x".repeat(8193), "is longer than"],
    ["not a URL", env.url(), "localhost:80 ", "is not a URL"],
    ["the wrong scheme", env.url(), "ftp://host", "has the wrong scheme; it must look like http:// or https://host"],
    ["one bad URL in a list", nats, "nats://a,http://b", "entry 2 has the wrong scheme"],
    ["an empty entry in a list", nats, "nats://a,", "entry 2 is not a URL"],
    ["an origin with a slash", origin, "http://localhost:8080/", "must be an origin only"],
    ["a bad present optional", env.optional(env.url()), "nonsense", "is not a URL"],
    ["a weak optional secret", env.optional(env.secret()), "changeme", "is a known default"],
  ])("given %s, then it is refused with the reason", (_what, field, text, reason) => {
    const message = messageOf(one(field), { FIELD: text });
    expect(message).toContain("  FIELD ");
    expect(message).toContain(reason);
  });
});

describe("secrets (SEC-08)", () => {
  const spec = defineConfig({
    service: "sample",
    fields: { SIGN_SECRET: env.secret(), HASH_SECRET: env.secret(), TOKEN: env.secret({ bytesMin: 8 }) },
    build: (values) => values,
  });
  const good = { SIGN_SECRET: strong(), HASH_SECRET: strong(), TOKEN: "k2J9x0Pq" };
  const bad: [string, string | undefined, string][] = [
    ["unset", undefined, "is not set"],
    ["empty", "", "is empty"],
    ["changeme", "changeme", "is a known default"],
    ["CHANGE-ME", "CHANGE-ME", "is a known default"],
    ["secret", "secret", "is a known default"],
    ["password", "password", "is a known default"],
    ["a long placeholder", "please-change-me-before-production-0b7", "is a known default"],
    ["a default repeated", "changemechangemechangemechangeme!", "is a known default"],
    ["words in a row", "my-secret-password-default-example-test", "is a known default"],
    ["white space at the end", `${strong()} `, "begins or ends with white space"],
    ["a line break at the end", `${strong()}\n`, "holds a line break"],
  ];
  const badLong: [string, string | undefined, string][] = [
    ["31 bytes", "Vb3kq0TzW1yLr8mXc5nPd7sFg2hJa9u", "is too short: 31 bytes where at least 32"],
    ["one character repeated", "a".repeat(40), "repeats a few characters"],
    ["a piece repeated", "Vb3kq0TzW1".repeat(4), "repeats a few characters"],
    ["few characters", "abcabbacbcabcbabcabcbacbbacbabcabcba", "repeats a few characters"],
    ["mostly words", "secret-password-secret-password-x9", "is mostly made of known words"],
    ["spaces only", " ".repeat(40), "begins or ends with white space"],
  ];

  for (const variable of ["SIGN_SECRET", "HASH_SECRET", "TOKEN"] as const) {
    test.each(variable === "TOKEN" ? bad : [...bad, ...badLong])(
      `given ${variable} is %s, then it is refused`,
      (_what, value, reason) => {
        const message = messageOf(spec, { ...good, [variable]: value });
        expect(message).toContain(`sample does not start: 1 setting is wrong.\n\n  ${variable} ${reason}`);
        expect(message).toContain("Whoever guesses it can forge");
        if (value !== undefined && value.trim().length > 10) expect(message).not.toContain(value.trim());
      },
    );

    test(`given ${variable} has the value of another secret, then it is refused, and the pair is named`, () => {
      const other = variable === "SIGN_SECRET" ? "HASH_SECRET" : "SIGN_SECRET";
      const message = messageOf(spec, { ...good, [variable]: good[other] });
      expect(message).toMatch(/(SIGN_SECRET|HASH_SECRET|TOKEN) has the same value as (SIGN_SECRET|HASH_SECRET)/);
      expect(message).toContain(variable);
      expect(message).toContain(other);
      expect(message).not.toContain(good[other]);
    });
  }

  test("given two secrets both short and equal, then both facts are named", () => {
    const message = messageOf(spec, { ...good, SIGN_SECRET: "q8", HASH_SECRET: "q8" });
    expect(message).toContain("HASH_SECRET has the same value as SIGN_SECRET");
    expect(message).toContain("SIGN_SECRET is too short");
  });

  test("given generated secrets of every usual form, then none is refused", () => {
    const forms = [
      () => randomBytes(32).toString("base64"),
      () => randomBytes(24).toString("base64url"),
      () => randomBytes(16).toString("hex"),
      () => randomUUID(),
    ];
    for (let round = 0; round < 2_000; round += 1) {
      const [a, b, c, d] = forms.map((form) => form());
      for (const text of [a, b, c, d]) expect(messageOf(one(env.secret()), { FIELD: text })).toBe("accepted");
    }
  });

  test("given a secret, then no way of turning it into text shows it, and only reveal gives it", () => {
    const value = strong();
    const secret = new Secret(value);
    const shown = [
      String(secret),
      JSON.stringify({ secret }),
      inspect({ secret }, { depth: 5, showHidden: true }),
      secret.toString(),
    ];
    for (const text of shown) {
      expect(text).toContain("[secret]");
      expect(text).not.toContain(value);
    }
    expect(Object.values(secret)).toEqual([]);
    expect(secret.reveal()).toBe(value);
  });
});

describe("a whole configuration", () => {
  const spec = defineConfig({
    service: "sample",
    fields: {
      ...commonFields,
      CACHE_MS: env.integer({ min: 1, max: 60_000, default: 10 }).describe("how long an answer is kept"),
      SECRET: env.secret().describe("signs"),
      EXTRA_SECRET: env.optional(env.secret()).describe("signs more"),
    },
    build: (values) => ({
      common: commonConfig(values),
      cache: { ms: values.CACHE_MS },
      list: ["a"],
      secret: values.SECRET,
    }),
    check: (values) =>
      values.NODE_ENV === "production" && values.CACHE_MS > 1_000
        ? [
            {
              variable: "CACHE_MS",
              problem: "is above 1,000 in production",
              consequence: "A revoked key would work for longer.",
            },
          ]
        : [],
  });
  const source = { HTTP_PORT: "0", ADMIN_PORT: "0", SECRET: strong(), UNKNOWN: "ignored" };

  test("given right settings, then the result is typed, has the defaults and is frozen to the bottom", () => {
    const config = loadConfig(spec, source);
    expect(config.common).toMatchObject({
      nodeEnv: "production",
      logLevel: "info",
      httpHost: "127.0.0.1",
      httpPort: 0,
      shutdownGraceMs: 500,
    });
    expect(config.common.instanceId).toMatch(new RegExp(`-${String(process.pid)}$`));
    expect("otlpEndpoint" in config.common).toBe(false);
    expect([config, config.common, config.cache, config.list].every((part) => Object.isFrozen(part))).toBe(true);
  });

  test("given a rule between fields that does not hold, then its own consequence is told", () => {
    expect(messageOf(spec, { ...source, CACHE_MS: "2000" })).toContain(
      "CACHE_MS is above 1,000 in production.\n      A revoked key would work for longer.",
    );
  });

  test("given one port for both listeners, then it is refused; given 0 for both, then it is accepted", () => {
    expect(messageOf(spec, { ...source, HTTP_PORT: "9000", ADMIN_PORT: "9000" })).toContain(
      "ADMIN_PORT is the same as HTTP_PORT",
    );
    expect(messageOf(spec, source)).toBe("accepted");
  });

  test("given several wrong settings, then one error names all, as data too", () => {
    let caught: unknown;
    try {
      loadConfig(spec, { ...source, HTTP_PORT: undefined, LOG_LEVEL: "loud", SECRET: "x" });
    } catch (error) {
      caught = error;
    }
    expect(caught).toBeInstanceOf(ConfigError);
    expect((caught as ConfigError).problems.map((problem) => problem.variable)).toEqual([
      "LOG_LEVEL",
      "HTTP_PORT",
      "SECRET",
    ]);
    expect((caught as ConfigError).problems.every((problem) => problem.consequence.length > 20)).toBe(true);
  });

  test("given distinctSecrets, then only the named ones must differ", () => {
    const same = strong();
    const narrowed = defineConfig({
      service: "sample",
      fields: { A: env.secret(), B: env.secret(), C: env.secret() },
      distinctSecrets: ["A", "B"],
      build: () => ({}),
    });
    expect(messageOf(narrowed, { A: same, B: strong(), C: same })).toBe("accepted");
    expect(messageOf(narrowed, { A: same, B: same, C: strong() })).toContain("B has the same value as A");
  });

  test("given the spec, then each field is described with default, need and secrecy", () => {
    const rows = new Map(describeConfig(spec).map((row) => [row.name, row]));
    expect(rows.get("CACHE_MS")).toEqual({
      name: "CACHE_MS",
      description: "how long an answer is kept",
      default: "10",
      secret: false,
      required: false,
    });
    expect(rows.get("SECRET")).toEqual({ name: "SECRET", description: "signs", secret: true, required: true });
    expect(rows.get("EXTRA_SECRET")).toEqual({
      name: "EXTRA_SECRET",
      description: "signs more",
      secret: true,
      required: false,
    });
    expect(rows.get("HTTP_PORT")).toMatchObject({ required: true });
    expect([...rows.values()].every((row) => row.description !== "")).toBe(true);
  });

  test("given a field name that no environment has, then defining it fails", () => {
    expect(() => defineConfig({ service: "sample", fields: { cacheMs: env.text() }, build: () => ({}) })).toThrow(
      "cacheMs",
    );
  });
});
