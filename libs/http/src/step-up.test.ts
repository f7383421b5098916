import { AppError, ManualClock } from "@codex/kernel";
import { expect, test } from "@jest/globals";
import { assertRecentAuthentication } from "./step-up.ts";

const clock = new ManualClock();
const ago = (ms: number): Date => new Date(clock.now().getTime() - ms);

test.each([
  ["just now", ago(0)],
  ["by a clock that is a little ahead", ago(-2_000)],
  ["five minutes ago", ago(300_000)],
])("given a person who signed in %s, then nothing is asked again", (_when, authenticatedAt) => {
  expect(() => assertRecentAuthentication({ authenticatedAt }, clock)).not.toThrow();
});

test.each([
  ["longer ago", ago(300_001)],
  ["nobody knows when", undefined],
  ["at no time at all", new Date(Number.NaN)],
])("given a person who signed in %s, then reauth_required", (_when, authenticatedAt) => {
  try {
    assertRecentAuthentication({ authenticatedAt }, clock);
  } catch (error) {
    expect(error).toMatchObject({ code: "reauth_required", kind: "unauthenticated" });
    expect(error).toBeInstanceOf(AppError);
    return;
  }
  throw new Error("was accepted");
});
