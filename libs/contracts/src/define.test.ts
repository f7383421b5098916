import { expect, test } from "@jest/globals";
import { newId } from "@codex/kernel";
import { subjectOf, wildcardOf } from "./define.ts";
import { keyChanged } from "./keys.ts";
import { allEvents, allKvs, allRpcs, allSignals } from "./registry.ts";
import { streams } from "./streams.ts";

test("a pattern is filled with its parameters", () => {
  const keyId = newId("key");
  expect(subjectOf(keyChanged.pattern, { keyId })).toBe(`evt.key.changed.v1.${keyId}`);
  expect(wildcardOf(keyChanged.pattern)).toBe("evt.key.changed.v1.*");
});

test.each(["", "a.b", "a b", "*", ">", "a\u0000", "ключ", "x".repeat(129)])(
  "the value %j cannot enter a subject",
  (keyId) => {
    expect(() => subjectOf(keyChanged.pattern, { keyId })).toThrow("not a NATS token");
  },
);

test("subjects, types and buckets are unique, and each event lies in its stream's subjects", () => {
  const unique = (names: readonly string[]): void => {
    expect(new Set(names).size).toBe(names.length);
  };
  unique(allEvents.map((event) => event.pattern));
  unique(allEvents.map((event) => `${event.type}.v${event.version}`));
  unique(allSignals.map((signal) => signal.pattern));
  expect(allSignals.length).toBeGreaterThanOrEqual(1);
  unique(allRpcs.map((rpc) => rpc.subject));
  unique(allKvs.map((kv) => kv.bucket));
  expect(allEvents.length).toBeGreaterThanOrEqual(5);
  for (const event of allEvents) {
    const covered = streams[event.stream].subjects.some((subject) =>
      subject.endsWith(">") ? event.pattern.startsWith(subject.slice(0, -1)) : subject === wildcardOf(event.pattern),
    );
    expect({ event: event.type, covered }).toEqual({ event: event.type, covered: true });
  }
});

test("versions stand in the subject and agree with the declaration", () => {
  for (const event of allEvents) expect(event.pattern).toContain(`v${event.version}`);
  for (const signal of allSignals) expect(signal.pattern).toMatch(/^sig\.[a-z-]+\.[a-z-]+\.v\d+(\.\{[A-Za-z]+\})*$/);
  for (const rpc of allRpcs) expect(rpc.subject).toMatch(/^rpc\.[a-z-]+(\.[a-z-]+)+\.v\d+$/);
});
