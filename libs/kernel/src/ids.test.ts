import { expect, test } from "@jest/globals";
import fc from "fast-check";
import { idTimeMs, idToUuid, newId, parseId, uuidToId, writeIdBytes } from "./ids.ts";

test("an id is a UUIDv7 of variant 10 behind its prefix", () => {
  const id = newId("req", 1_700_000_000_000);
  const uuid = idToUuid(id);
  expect(id).toMatch(/^req_[0-7][0-9a-hjkmnp-tv-z]{25}$/);
  expect(uuid).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
});

test("the vector of the TypeID specification: uuid 0188bac7-4afa-78aa-bc3b-bd1eef28d881", () => {
  expect(uuidToId("req", "0188bac7-4afa-78aa-bc3b-bd1eef28d881")).toBe("req_01h2xcejqtf2nbrexx3vqjhp41");
});

test("ids made in one process sort in the order of their making, also within a millisecond and past the counter", () => {
  const made = Array.from({ length: 10_000 }, () => newId("evt", 1_800_000_000_000));
  expect([...made].sort()).toEqual(made);
  expect(new Set(made).size).toBe(made.length);
});

test("ids never go backwards when the clock does", () => {
  const later = newId("evt", 1_900_000_000_000);
  expect(newId("evt", 1_800_000_000_000) > later).toBe(true);
});

test("uuid and id convert both ways for any 128 bits", () => {
  fc.assert(fc.property(fc.uuid(), (uuid) => idToUuid(uuidToId("acc", uuid)) === uuid));
});

test("the bytes of an id are those of its uuid, and its time the first six of them", () => {
  fc.assert(
    fc.property(fc.uuid(), (uuid) => {
      const id = uuidToId("acc", uuid);
      const bytes = Buffer.alloc(18, 0xff);
      writeIdBytes(id, bytes, 1);
      expect(bytes.toString("hex")).toBe(`ff${uuid.replaceAll("-", "")}ff`);
      expect(idTimeMs(id)).toBe(bytes.readUIntBE(1, 6));
    }),
  );
});

test("a malformed id has no bytes", () => {
  for (const text of ["", "acc_", `acc_8${"0".repeat(25)}`, `acc_${"u".repeat(26)}`, `acc_${"0".repeat(27)}`]) {
    expect(() => writeIdBytes(text, Buffer.alloc(16), 0)).toThrow("malformed id");
  }
});

test("text that is not an id of the prefix parses to undefined", () => {
  const id = newId("acc");
  for (const text of [
    "",
    "acc_",
    id.slice(0, -1),
    `${id}0`,
    id.replace("acc", "key"),
    `acc_${"u".repeat(26)}`,
    `acc_8${"0".repeat(25)}`,
    id.toUpperCase(),
  ]) {
    expect(parseId("acc", text)).toBeUndefined();
  }
  expect(parseId("acc", id)).toBe(id);
});
