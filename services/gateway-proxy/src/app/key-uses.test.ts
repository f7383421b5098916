import { ManualClock, newId, type KeyId } from "@codex/kernel";
import { expect, test } from "@jest/globals";
import { KeyUses, type KeyUse } from "./key-uses.ts";

const clock = () => new ManualClock(new Date("2026-01-01T10:59:30.000Z"));
const codex = () => "codex" as const;

async function told(uses: KeyUses): Promise<readonly KeyUse[]> {
  const all: KeyUse[] = [];
  await uses.flush((some) => {
    all.push(...some);
    return Promise.resolve();
  });
  return all;
}

test("given a key in use all the time, then it is told once an hour, with the beginning of the hour and no more", async () => {
  const time = clock();
  const uses = new KeyUses(time);
  const keyId = newId("key");
  for (let count = 0; count < 1_000; count += 1) uses.add(keyId, codex);
  expect(await told(uses)).toEqual([{ keyId, hour: new Date("2026-01-01T10:00:00.000Z"), client: "codex" }]);
  uses.add(keyId, codex);
  expect(await told(uses)).toEqual([]);
  time.advance(30_000);
  uses.add(keyId, () => "curl");
  expect(await told(uses)).toEqual([{ keyId, hour: new Date("2026-01-01T11:00:00.000Z"), client: "curl" }]);
});

test("given a registry that is away, then what could not be told waits on", async () => {
  const uses = new KeyUses(clock());
  const keyId = newId("key");
  uses.add(keyId, codex);
  await expect(uses.flush(() => Promise.reject(new Error("away")))).rejects.toThrow("away");
  expect((await told(uses)).map((use) => use.keyId)).toEqual([keyId]);
});

test("given more keys than one report holds, then all are told, and what comes meanwhile too", async () => {
  const uses = new KeyUses(clock());
  const keys = Array.from({ length: 2_500 }, () => newId("key"));
  for (const keyId of keys) uses.add(keyId, codex);
  const late = newId("key");
  const sizes: number[] = [];
  const seen = new Set<KeyId>();
  await uses.flush((some) => {
    if (sizes.length === 0) uses.add(late, codex);
    sizes.push(some.length);
    for (const { keyId } of some) seen.add(keyId);
    return Promise.resolve();
  });
  expect(sizes).toEqual([1_000, 1_000, 501]);
  expect(seen).toEqual(new Set([...keys, late]));
});
