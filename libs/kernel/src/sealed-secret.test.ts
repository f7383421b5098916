import { expect, test } from "@jest/globals";
import { createCipheriv, randomBytes } from "node:crypto";
import { sealSecret, unsealSecret } from "./sealed-secret.ts";

const key = randomBytes(32);
const context = "api-key:key_1:acc_1:dek";

test("SEC-41 given a tag that was cut short, as Node itself would take it, then it is refused", () => {
  const secret = "cx_live_…";
  const nonce = randomBytes(12);
  const cipher = createCipheriv("aes-256-gcm", key, nonce, { authTagLength: 4 });
  cipher.setAAD(Buffer.from(`${context}:v1`));
  const body = Buffer.concat([cipher.update(secret, "utf8"), cipher.final()]);
  const short = Buffer.concat([Buffer.of(1), nonce, cipher.getAuthTag(), body]).toString("base64");
  expect(() => unsealSecret(short, key, context)).toThrow();
});

test("SEC-41 nonces are 96 random bits: of a hundred thousand envelopes no two have the same, nor the same beginning twice too often", () => {
  const count = 100_000;
  const nonces = new Set<string>();
  const bytes = new Uint32Array(256);
  for (let made = 0; made < count; made += 1) {
    const nonce = Buffer.from(sealSecret("x", key, context), "base64").subarray(1, 13);
    nonces.add(nonce.toString("hex"));
    const first = nonce[0] ?? 0;
    bytes[first] = (bytes[first] ?? 0) + 1;
  }
  expect(nonces.size).toBe(count);
  const expected = count / 256;
  const chiSquare = bytes.reduce((sum, seen) => sum + (seen - expected) ** 2 / expected, 0);
  // 330.5 is the 99.9 % quantile of chi-square with 255 degrees of freedom; 400 keeps false alarms below one in a million.
  expect(chiSquare).toBeLessThan(400);
});

test.each([
  ["another key of the account", "api-key:key_2:acc_1:dek"],
  ["another account", "api-key:key_1:acc_2:dek"],
  ["another data key", "api-key:key_1:acc_1:other"],
])("SEC-41 given an envelope that was moved to %s, then it is refused", (_where, other) => {
  const sealed = sealSecret("secret", key, context);
  expect(unsealSecret(sealed, key, context)).toBe("secret");
  expect(() => unsealSecret(sealed, key, other)).toThrow();
});
