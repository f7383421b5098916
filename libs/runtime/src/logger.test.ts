import { describe, expect, test } from "@jest/globals";
import fc from "fast-check";
import { AppError } from "@codex/kernel";
import { allowedFields, type LogFields } from "./log-fields.ts";
import { createLogger, silentLogger, type Logger } from "./logger.ts";

function capture(level = "debug"): { logger: Logger; lines: string[]; last(): Record<string, unknown> } {
  const lines: string[] = [];
  const logger = createLogger({ service: "sample", level, destination: { write: (line) => void lines.push(line) } });
  return { logger, lines, last: () => JSON.parse(lines.at(-1) ?? "") as Record<string, unknown> };
}

/** What a type check would refuse, as a careless cast would bring it in. */
const loose = (fields: Record<string, unknown>): LogFields => fields;

describe("allow-list (SEC-74)", () => {
  test("given known fields, then they are written in their form", () => {
    const { logger, last } = capture();
    logger.info("request done", {
      requestId: "req_1",
      status: 200,
      durationMs: 1.5,
      costMicroTokens: 12_345_678_901_234_567_890n,
      ready: true,
      model: undefined,
    });
    expect(last()).toEqual({
      level: "info",
      time: expect.stringMatching(/^\d{4}-\d\d-\d\dT[\d:.]+Z$/),
      service: "sample",
      event: "request done",
      requestId: "req_1",
      status: 200,
      durationMs: 1.5,
      costMicroTokens: "12345678901234567890",
      ready: true,
    });
  });

  test("given fields that are not in the list or have another type, then they are dropped", () => {
    const { logger, last } = capture();
    const fields = {
      body: "b",
      headers: { cookie: "c" },
      password: "p",
      authorization: "a",
      level: "fatal",
      service: "x",
      time: "t",
      requestId: { a: 1 },
      status: "200",
      __proto__: { model: "m" },
      constructor: "c",
    };
    logger.child(loose(fields)).warn("odd", loose(fields));
    expect(Object.keys(last()).sort()).toEqual(["event", "level", "service", "time"]);
    expect(last()).toMatchObject({ level: "warn", service: "sample" });
  });

  test("given a child, then its fields are on each line once, and the line's own win", () => {
    const { logger, lines, last } = capture();
    logger
      .child({ requestId: "req_1", component: "http" })
      .child({ component: "bus" })
      .info("x", { requestId: "req_2" });
    expect(last()).toMatchObject({ requestId: "req_2", component: "bus" });
    expect(lines[0]?.match(/requestId/g)).toHaveLength(1);
  });

  test("given a level, then what is below it is not written", () => {
    const { logger, lines } = capture("warn");
    logger.debug("a");
    logger.info("b");
    logger.warn("c");
    logger.error("d");
    expect(lines).toHaveLength(2);
    const silent = capture("silent");
    silent.logger.error("e");
    silentLogger.child({ count: 1 }).error("e");
    expect(silent.lines).toHaveLength(0);
  });

  test("given long values, then none is longer than 256", () => {
    const { logger, last } = capture();
    logger.info("x".repeat(5_000), { reason: "😀".repeat(3_000), url: `http://h/${"p".repeat(3_000)}` });
    for (const key of ["event", "reason", "url"]) expect(String(last()[key]).length).toBeLessThanOrEqual(256);
    expect(String(last()["reason"]).isWellFormed()).toBe(true);
  });

  test("given a URL, then user, query and fragment are not written, and an origin stays an origin", () => {
    const { logger, last } = capture();
    logger.info("x", { url: "postgres://user:hunter?2@h:5432/db?token=abc#f" });
    expect(JSON.stringify(last())).not.toMatch(/hunter|token|abc/);
    logger.info("x", { url: "https://user:hunter2@h:5432/path?token=abc#f" });
    expect(last()["url"]).toBe("https://h:5432/path");
    logger.info("x", { url: "http://127.0.0.1:8080" });
    expect(last()["url"]).toBe("http://127.0.0.1:8080");
  });

  test.each([
    ["a connection string", "connect postgres://u:p@ss/w@db:5432/x failed", /p@ss|ss\/w/],
    ["an API key", `key cx_live_${"a1B2".repeat(11)}9z refused`, /a1B2/],
    ["a provider key", "upstream said: invalid sk-proj-abcdefghijklmnop1234", /abcdefgh/],
    ["a session token", "bad eyJhbGciOiJFZERTQSJ9.eyJzaWQiOiIxIn0.c2ln cookie", /eyJ/],
    ["a bearer header", "sent Authorization: Bearer abc.def-ghijkl", /ghijkl/],
  ])("given %s in an error message, then it is not written", (_what, message, pattern) => {
    const { logger, lines } = capture();
    logger.error("failed", { error: new Error(message), reason: message });
    expect(lines[0]).toContain("redacted");
    expect(lines[0]).not.toMatch(pattern);
  });
});

describe("errors", () => {
  test("given an AppError with a cause, then name, message, code, frames, allowed facts and cause are written", () => {
    const { logger, last } = capture();
    const error = new AppError({
      kind: "unavailable",
      code: "service_unavailable",
      publicMessage: "Try again.",
      detail: { subject: "rpc.x", body: "no" },
      cause: new Error("socket closed"),
    });
    logger.error("failed", { error });
    const written = last()["error"] as Record<string, unknown>;
    expect(written).toMatchObject({
      name: "AppError",
      message: "service_unavailable: Try again.",
      code: "service_unavailable",
      detail: { subject: "rpc.x" },
      causes: [{ name: "Error", message: "socket closed" }],
    });
    expect(written["detail"]).toEqual({ subject: "rpc.x" });
    expect((written["stack"] as string[])[0]).toMatch(/^at /);
  });

  test.each<[string, unknown]>([
    ["text", "plain"],
    ["null", null],
    ["a symbol", Symbol("s")],
    ["a bigint", 1n],
    ["an object without prototype", Object.create(null)],
    ["an endless chain of causes", endless()],
    ["a hostile object", hostile()],
    ["an aggregate of many", new AggregateError(Array.from({ length: 50 }, () => new Error("x".repeat(9_999))))],
  ])("given %s is thrown, then one bounded line is written", (_what, thrown) => {
    const { logger, lines } = capture();
    logger.error("failed", { error: thrown });
    expect(lines).toHaveLength(1);
    expect(() => JSON.parse(lines[0] ?? "") as unknown).not.toThrow();
    expect(lines[0]?.length).toBeLessThan(64_000);
  });
});

function endless(): Error {
  const error = new Error("round");
  error.cause = error;
  return error;
}

function hostile(): object {
  return {
    get name(): string {
      throw new Error("no name");
    },
    get message(): string {
      throw new Error("no message");
    },
    toString(): string {
      throw new Error("no text");
    },
  };
}

describe("one line is one JSON object (SEC-74 fuzz)", () => {
  const nasty = fc
    .array(
      fc.oneof(
        fc.constantFrom(
          "\r",
          "\n",
          "\r\n",
          "\u001b[2J",
          "\u0000",
          "\u0085",
          "\u2028",
          "\u2029",
          "\u202e",
          "\u2066",
          "\ufeff",
          "\ud800",
          "\udc00",
          '"',
          "\\",
          "%s",
          "%j",
          "}{",
          "\u007f",
          "\u009b",
        ),
        fc.string({ unit: "binary" }),
      ),
      { maxLength: 40 },
    )
    .map((parts) => parts.join(""));
  const keys = fc.constantFrom(...Object.keys(allowedFields), "body", "__proto__", "toJSON", "level", "time");
  const values = fc.oneof(
    nasty,
    fc.double(),
    fc.bigInt(),
    fc.boolean(),
    fc.constant(null),
    nasty.map((text) => new Error(text)),
    fc.anything(),
  );

  test("given any event, fields and errors, then the line is one object without control characters, and nothing throws", () => {
    fc.assert(
      fc.property(nasty, fc.dictionary(keys, values, { maxKeys: 12 }), (event, fields) => {
        const { logger, lines } = capture();
        logger.child(loose(fields)).info(event, loose(fields));
        expect(lines).toHaveLength(1);
        const line = lines[0] ?? "";
        expect(line.endsWith("\n")).toBe(true);

        expect(line.slice(0, -1)).not.toMatch(
          /[\u0000-\u001f\u007f-\u009f\u2028\u2029\u202a-\u202e\u2066-\u2069]|\p{Surrogate}/u,
        );
        const parsed = JSON.parse(line) as Record<string, unknown>;
        expect(parsed["level"]).toBe("info");
        expect(
          Object.keys(parsed).every(
            (key) => ["level", "time", "service", "event"].includes(key) || key in allowedFields,
          ),
        ).toBe(true);
        // Decoded text is safe as well, as `jq -r` would print it into a terminal.

        for (const text of stringsOf(parsed))
          expect(text.length > 256 || /[\u0000-\u001f\u007f-\u009f\u2028\u2029]/.test(text)).toBe(false);
      }),
      { numRuns: 2_000 },
    );
  });
});

function stringsOf(value: unknown): string[] {
  if (typeof value === "string") return [value];
  return typeof value === "object" && value !== null ? Object.values(value).flatMap(stringsOf) : [];
}
