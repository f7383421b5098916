import { newId } from "@codex/kernel";
import { expect, test } from "@jest/globals";
import { createCipheriv, randomBytes } from "node:crypto";
import { seal, unseal } from "./envelope.ts";

const key = randomBytes(32);
const channelId = newId("chn");
const secret = "sk-upstream-секрет";
const sealed = seal(secret, key, channelId);

test("given the right key and channel, then the secret comes out again, and is not in the envelope", () => {
  expect(unseal(sealed, key, channelId)).toBe(secret);
  expect(unseal(seal("", key, channelId), key, channelId)).toBe("");
  expect(Buffer.from(sealed, "base64").includes("sk-upstream")).toBe(false);
});

test("given the same secret twice, then the envelopes differ: no nonce is used again", () => {
  expect(new Set(Array.from({ length: 200 }, () => seal(secret, key, channelId))).size).toBe(200);
});

test("given the envelope was moved to another channel's row, then it does not open", () => {
  expect(() => unseal(sealed, key, newId("chn"))).toThrow();
});

test("given another key, then it does not open", () => {
  expect(() => unseal(sealed, randomBytes(32), channelId)).toThrow();
});

test("given other authenticated data of the same channel, then it does not open", () => {
  const nonce = randomBytes(12);
  const cipher = createCipheriv("aes-256-gcm", key, nonce, { authTagLength: 16 });
  cipher.setAAD(Buffer.from(`channel:${channelId}:v2`));
  const text = Buffer.concat([cipher.update(secret, "utf8"), cipher.final()]);
  const forged = Buffer.concat([Buffer.of(1), nonce, cipher.getAuthTag(), text]).toString("base64");
  expect(() => unseal(forged, key, channelId)).toThrow();
});

test("given any one bit is flipped, then it does not open", () => {
  const bytes = Buffer.from(sealed, "base64");
  for (let bit = 0; bit < bytes.length * 8; bit += 1) {
    const flipped = Buffer.from(bytes);
    const at = Math.floor(bit / 8);
    flipped.writeUInt8(flipped.readUInt8(at) ^ (1 << (bit % 8)), at);
    expect(() => unseal(flipped.toString("base64"), key, channelId)).toThrow();
  }
});

test("given a tag that was cut short, or an envelope that ends before its text, then it does not open", () => {
  const bytes = Buffer.from(sealed, "base64");
  const tag = bytes.subarray(13, 29);
  for (const length of [0, 4, 8, 12, 15]) {
    const short = Buffer.concat([bytes.subarray(0, 13), tag.subarray(0, length), bytes.subarray(29)]);
    expect(() => unseal(short.toString("base64"), key, channelId)).toThrow();
  }
  for (let length = 0; length < bytes.length; length += 1) {
    expect(() => unseal(bytes.subarray(0, length).toString("base64"), key, channelId)).toThrow();
  }
});
