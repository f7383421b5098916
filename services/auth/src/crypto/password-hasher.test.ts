import { afterAll, beforeAll, describe, expect, jest, test } from "@jest/globals";
import fc from "fast-check";
import { BcryptPool, waitingMax } from "./bcrypt-pool.ts";
import { passwordHasher, pepperOf } from "./password-hasher.ts";

const cost = 4;
const pepper = pepperOf("b1x9-Kq7_Zr4mT2wVb8nY5sLd3hGf6jPc0e");
const nextPepper = pepperOf("d7w2-Kq7_Zr4mT2wVb8nY5sLd3hGf6jPc0e");
let pool: BcryptPool;

beforeAll(() => {
  pool = new BcryptPool(1);
});
afterAll(() => pool.close());

async function verifiesEachOther(left: string, right: string): Promise<boolean> {
  const hasher = passwordHasher({ pool, peppers: [pepper], cost });
  const [leftHash, rightHash] = [await hasher.hash(left), await hasher.hash(right)];
  expect([await hasher.verify(left, leftHash), await hasher.verify(right, rightHash)]).toEqual([true, true]);
  return (await hasher.verify(left, rightHash)) || (await hasher.verify(right, leftHash));
}

const tail = fc.string({ unit: "binary", minLength: 1, maxLength: 20 });
const head72 = fc.string({ unit: "grapheme-ascii", minLength: 72, maxLength: 72 });

describe("a password is all of its bytes (SEC-10)", () => {
  const pairs: readonly (readonly [string, fc.Arbitrary<readonly [string, string]>])[] = [
    ["two texts", fc.tuple(tail, tail)],
    ["the same first 72 bytes", fc.tuple(head72, tail, tail).map(([head, a, b]) => [head + a, head + b] as const)],
    ["one that is the other's first 72 bytes", fc.tuple(head72, tail).map(([head, a]) => [head, head + a] as const)],
    [
      "a NUL inside",
      fc.tuple(tail, tail, tail).map(([head, a, b]) => [`${head}\u0000${a}`, `${head}\u0000${b}`] as const),
    ],
    [
      "36 Cyrillic letters before the tail",
      fc.tuple(tail, tail).map(([a, b]) => [`${"я".repeat(36)}${a}`, `${"я".repeat(36)}${b}`] as const),
    ],
    [
      "other case",
      fc.string({ minLength: 1 }).map((text) => [`a${text}`.toLowerCase(), `A${text}`.toUpperCase()] as const),
    ],
    ["a space at the end", tail.map((text) => [text, `${text} `] as const)],
  ];

  test.each(pairs)(
    "given pairs with %s, when one is tried on the other's hash, then it never fits",
    async (_what, arbitrary) => {
      const differing = arbitrary.filter(([left, right]) => left.toWellFormed() !== right.toWellFormed());
      await fc.assert(
        fc.asyncProperty(differing, async ([left, right]) => {
          expect(await verifiesEachOther(left, right)).toBe(false);
        }),
        { numRuns: 40 },
      );
    },
  );
});

describe("the stored form", () => {
  test("given one password twice, when it is hashed, then the hashes differ, and name algorithm, pepper and cost", async () => {
    const hasher = passwordHasher({ pool, peppers: [pepper], cost });
    const [one, two] = [await hasher.hash("same"), await hasher.hash("same")];
    expect(one).not.toBe(two);
    expect(one).toMatch(new RegExp(`^hs384-bcrypt\\$${pepper.id}\\$\\$2b\\$04\\$[./A-Za-z0-9]{53}$`));
    expect(one).not.toContain(pepper.secret);
  });

  test("given a hash, when cost or pepper change, then it is due for renewal; a current or dearer one is not", async () => {
    const hash = await passwordHasher({ pool, peppers: [pepper], cost: 5 }).hash("text");
    expect(passwordHasher({ pool, peppers: [pepper], cost: 5 }).needsUpgrade(hash)).toBe(false);
    expect(passwordHasher({ pool, peppers: [pepper], cost: 4 }).needsUpgrade(hash)).toBe(false);
    expect(passwordHasher({ pool, peppers: [pepper], cost: 6 }).needsUpgrade(hash)).toBe(true);
    expect(passwordHasher({ pool, peppers: [nextPepper, pepper], cost: 5 }).needsUpgrade(hash)).toBe(true);
    expect(passwordHasher({ pool, peppers: [pepper], cost: 5 }).needsUpgrade("$2b$12$foreign")).toBe(true);
  });

  test("given a hash of the pepper before, when the pepper is kept, then it verifies; when it is dropped, then nothing does", async () => {
    const hash = await passwordHasher({ pool, peppers: [pepper], cost }).hash("text");
    expect(await passwordHasher({ pool, peppers: [nextPepper, pepper], cost }).verify("text", hash)).toBe(true);
    expect(await passwordHasher({ pool, peppers: [nextPepper, pepper], cost }).verify("other", hash)).toBe(false);
    expect(await passwordHasher({ pool, peppers: [nextPepper], cost }).verify("text", hash)).toBe(false);
  });

  test("given two secrets, when peppers are made of them, then ids differ, repeat and say nothing of the secret", () => {
    expect(pepper.id).not.toBe(nextPepper.id);
    expect(pepperOf(pepper.secret)).toEqual(pepper);
    expect(pepper.secret).not.toContain(pepper.id);
  });
});

describe("an unknown account", () => {
  test("given no hash, when a password is tried for the first time, then exactly one check of the current cost is done", async () => {
    const runs = jest.spyOn(pool, "run");
    try {
      const hasher = passwordHasher({ pool, peppers: [pepper], cost });
      expect(await hasher.verify("text", undefined)).toBe(false);
      expect(runs.mock.calls).toEqual([
        [expect.objectContaining({ kind: "verify", hash: expect.stringMatching(/^\$2b\$04\$/) })],
      ]);
      runs.mockClear();
      await hasher.verify("text", await passwordHasher({ pool, peppers: [pepper], cost }).hash("text"));
      expect(runs.mock.calls.filter(([ask]) => ask.kind === "verify")).toHaveLength(1);
    } finally {
      runs.mockRestore();
    }
  });

  test("given a full queue at the first try, when there is room again, then an unknown account is answered as ever", async () => {
    const hasher = passwordHasher({ pool, peppers: [pepper], cost });
    const queued = Array.from({ length: waitingMax + 1 }, () => hasher.hash("text"));
    await expect(hasher.verify("text", undefined)).rejects.toMatchObject({ code: "overloaded", retryAfterSeconds: 3 });
    await Promise.all(queued);
    expect(await hasher.verify("text", undefined)).toBe(false);
  });
});
