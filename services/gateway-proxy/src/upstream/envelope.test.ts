import { newId, sealSecret } from "@codex/kernel";
import { describe, expect, test } from "@jest/globals";
import { createHash, randomBytes } from "node:crypto";
import { Envelopes, type SealedKey } from "./envelope.ts";

const first = randomBytes(32).toString("hex");
const second = randomBytes(32).toString("hex");
const old = new Envelopes({ current: { version: 1, secret: first } });
const both = new Envelopes({ current: { version: 2, secret: second }, previous: first });
const fresh = new Envelopes({ current: { version: 2, secret: second } });
const place = { channelId: newId("chn"), keyId: newId("upk") };
const secret = "sk-upstream-секрет";
const sealed = old.seal(secret, place);

test("given the right master key and place, then the secret comes out again, and is in neither envelope", () => {
  expect(old.open(sealed, place)).toBe(secret);
  expect(sealed.keyVersion).toBe(1);
  for (const text of [sealed.sealedSecret, sealed.wrappedKey ?? ""]) {
    expect(Buffer.from(text, "base64").includes("sk-upstream")).toBe(false);
  }
});

test("given the same secret twice, then nothing of the envelopes is the same: no data key or nonce is used again", () => {
  const all = Array.from({ length: 200 }, () => old.seal(secret, place));
  expect(new Set(all.flatMap(({ sealedSecret, wrappedKey }) => [sealedSecret, wrappedKey])).size).toBe(400);
});

describe("given an envelope that was moved or altered, then it does not open", () => {
  const other = old.seal("another secret", place);
  const altered = (change: Partial<SealedKey>): SealedKey => ({ ...sealed, ...change });

  test.each<[string, SealedKey, typeof place]>([
    ["to another channel", sealed, { ...place, channelId: newId("chn") }],
    ["to another key of the channel", sealed, { ...place, keyId: newId("upk") }],
    ["its data key is another's", altered({ wrappedKey: other.wrappedKey }), place],
    ["its secret is another's", altered({ sealedSecret: other.sealedSecret }), place],
    ["it claims another version of the master key", altered({ keyVersion: 2 }), place],
    ["it claims to be of the first form", altered({ wrappedKey: null, keyVersion: 0 }), place],
  ])("%s", (_name, envelope, at) => {
    expect(() => old.open(envelope, at)).toThrow();
  });

  test.each(["sealedSecret", "wrappedKey"] as const)("any bit of %s is flipped, or it is cut short", (part) => {
    const bytes = Buffer.from(sealed[part] ?? "", "base64");
    for (let bit = 0; bit < bytes.length * 8; bit += 1) {
      const flipped = Buffer.from(bytes);
      const at = Math.floor(bit / 8);
      flipped.writeUInt8(flipped.readUInt8(at) ^ (1 << (bit % 8)), at);
      expect(() => old.open(altered({ [part]: flipped.toString("base64") }), place)).toThrow();
    }
    for (let length = 0; length < bytes.length; length += 1) {
      expect(() => old.open(altered({ [part]: bytes.subarray(0, length).toString("base64") }), place)).toThrow();
    }
  });
});

describe("rotation", () => {
  test("given both master keys, then what the old one wrapped opens, and re-wrapping leaves the sealed secret as it is", () => {
    expect(both.open(sealed, place)).toBe(secret);
    const rewrapped = both.rewrap(sealed, place);
    expect(rewrapped).toMatchObject({ sealedSecret: sealed.sealedSecret, keyVersion: 2 });
    expect(rewrapped?.wrappedKey).not.toBe(sealed.wrappedKey);
    expect(fresh.open(rewrapped ?? sealed, place)).toBe(secret);
    expect(both.rewrap(rewrapped ?? sealed, place)).toBeUndefined();
  });

  test("given only the new master key, then what was not re-wrapped opens no more", () => {
    expect(() => fresh.open(sealed, place)).toThrow("no master key of version 1");
    expect(() => fresh.rewrap(sealed, place)).toThrow("no master key of version 1");
  });

  test("given a wrong previous key, then nothing opens", () => {
    const wrong = new Envelopes({ current: { version: 2, secret: second }, previous: second });
    expect(() => wrong.open(sealed, place)).toThrow();
  });
});

describe("a secret of the first form, sealed by the master key itself", () => {
  const key = createHash("sha256").update(first).digest();
  const legacy: SealedKey = {
    sealedSecret: sealSecret(secret, key, `channel:${place.channelId}`),
    wrappedKey: null,
    keyVersion: 0,
  };

  test("given the master key that sealed it is the current or the previous one, then it opens; else not", () => {
    expect(old.open(legacy, place)).toBe(secret);
    expect(both.open(legacy, place)).toBe(secret);
    expect(() => fresh.open(legacy, place)).toThrow();
  });

  test("given it is re-wrapped, then it has a data key of its own from then on", () => {
    const rewrapped = both.rewrap(legacy, place);
    expect(rewrapped).toMatchObject({ keyVersion: 2 });
    expect(fresh.open(rewrapped ?? legacy, place)).toBe(secret);
  });
});
