import { newId } from "@codex/kernel";
import { expect, test } from "@jest/globals";
import type { ReferralCode } from "./ports.ts";
import { referralCode } from "./referral-code.ts";

test("given codes that are taken, when one is free at last, then another is drawn each time", async () => {
  const drawn: string[] = [];
  const claim = (_accountId: string, code: string): Promise<ReferralCode | undefined> => {
    drawn.push(code);
    return Promise.resolve(drawn.length < 3 ? undefined : { code, createdAt: new Date(0) });
  };
  expect((await referralCode({ claim }, newId("acc"))).code).toBe(drawn[2]);
  expect(new Set(drawn).size).toBe(3);
});

test("given a store where every code is taken, when one is asked for, then it gives up after five draws", async () => {
  let draws = 0;
  const claim = (): Promise<undefined> => {
    draws += 1;
    return Promise.resolve(undefined);
  };
  await expect(referralCode({ claim }, newId("acc"))).rejects.toThrow("no free referral code");
  expect(draws).toBe(5);
});
