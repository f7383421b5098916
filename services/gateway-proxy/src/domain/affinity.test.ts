import { describe, expect, test } from "@jest/globals";
import { affinityOf } from "./affinity.ts";
import { hash32, scoreOf } from "./rendezvous.ts";

const scope = "key_1";
const turn = (role: string, content: unknown) => ({ role, content });
const talk = { model: "m", messages: [turn("system", "Be brief."), turn("user", "Hello")] };

describe("what belongs together", () => {
  test("given a conversation grows, then it stays the same session, in every dialect", () => {
    const grown = (body: Record<string, unknown>, list: string): Record<string, unknown> => ({
      ...body,
      [list]: [...(body[list] as unknown[]), turn("assistant", "Hi"), turn("user", "More")],
    });
    const parts = [{ type: "text", text: "Hello" }];
    for (const [body, list] of [
      [talk, "messages"],
      [{ model: "m", system: [{ type: "text", text: "Be brief." }], messages: [turn("user", parts)] }, "messages"],
      [{ model: "m", instructions: "Be brief.", input: [turn("user", parts)] }, "input"],
    ] as const) {
      expect(affinityOf(scope, grown(body, list))).toBe(affinityOf(scope, body));
    }
  });

  test("given another beginning, model or customer's key, then it is another session", () => {
    const sessions = [
      affinityOf(scope, talk),
      affinityOf(scope, { ...talk, model: "n" }),
      affinityOf(scope, { ...talk, messages: [turn("system", "Be long."), turn("user", "Hello")] }),
      affinityOf(scope, { ...talk, messages: [turn("system", "Be brief."), turn("user", "Bye")] }),
      affinityOf("key_2", talk),
    ];
    expect(new Set(sessions).size).toBe(sessions.length);
  });

  test.each([
    ["prompt_cache_key", { prompt_cache_key: "a" }],
    ["user", { user: "a" }],
    ["safety_identifier", { safety_identifier: "a" }],
    ["metadata.user_id", { metadata: { user_id: "a" } }],
  ])("given %s, then it decides alone, whatever the conversation is", (_name, hint) => {
    expect(affinityOf(scope, { ...talk, ...hint })).toBe(affinityOf(scope, { model: "x", messages: [], ...hint }));
    expect(affinityOf(scope, { ...talk, ...hint })).not.toBe(affinityOf(scope, talk));
    expect(affinityOf("key_2", { ...talk, ...hint })).not.toBe(affinityOf(scope, { ...talk, ...hint }));
  });

  test("given hints or texts of a wrong type, or a text without end, then nothing throws and the work is bounded", () => {
    const deep = JSON.parse(`${'{"content":'.repeat(500)}1${"}".repeat(500)}`) as unknown;
    for (const messages of [null, 1, "text", [null, 1, [], { content: 5 }], [deep]]) {
      expect(affinityOf(scope, { prompt_cache_key: 5, user: "", metadata: [], messages })).toEqual(expect.any(Number));
    }
    const long = "x".repeat(3_000);
    expect(affinityOf(scope, { messages: [turn("user", `${long}1`)] })).toBe(
      affinityOf(scope, { messages: [turn("user", `${long}2`)] }),
    );
  });
});

describe("rendezvous", () => {
  const places = ["a", "b", "c"].map((name) => hash32(name));
  const place = (session: number, weights: readonly number[]): number => {
    const scores = places.map((seed, index) => scoreOf(session, seed, weights[index] ?? 1));
    return scores.indexOf(Math.max(...scores));
  };
  const sessions = Array.from({ length: 6_000 }, (_, index) => hash32(`session ${String(index)}`));

  test("given weights 1, 2 and 3, then sessions spread in that proportion", () => {
    const counts = [0, 0, 0];
    for (const session of sessions) counts[place(session, [1, 2, 3])]! += 1;
    for (const [index, share] of [1 / 6, 2 / 6, 3 / 6].entries()) {
      expect(Math.abs((counts[index] ?? 0) / sessions.length - share)).toBeLessThan(0.03);
    }
  });

  test("given a weight grows, then sessions move only to that place", () => {
    for (const session of sessions) {
      const after = place(session, [1, 1, 2]);
      if (after !== place(session, [1, 1, 1])) expect(after).toBe(2);
    }
  });
});
