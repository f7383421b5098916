import { expect, test } from "@jest/globals";
import fc from "fast-check";
import { requestLimits, scanJson, withFields, withMembers } from "./json-scan.ts";

const documents = fc.dictionary(fc.string(), fc.jsonValue({ maxDepth: 4 }), { maxKeys: 8 });
/** The same document as different writers write it. */
const written = fc
  .tuple(documents, fc.constantFrom(undefined, 1, "\t", "\r\n "))
  .map(([value, space]) => Buffer.from(JSON.stringify(value, null, space)));

test("the outermost members are found where they are, whatever is in them and between them", () => {
  fc.assert(
    fc.property(written, (bytes) => {
      const members = scanJson(bytes, requestLimits);
      const found = members.map(({ name, valueStart, end }): [string, unknown] => [
        name,
        JSON.parse(bytes.toString("utf8", valueStart, end)),
      ]);
      expect(found).toEqual(Object.entries(JSON.parse(bytes.toString()) as object));
    }),
  );
});

test("what is changed is changed, what is left out is gone, and all else is the very same bytes", () => {
  fc.assert(
    fc.property(written, fc.string(), fc.jsonValue(), (bytes, name, value) => {
      const members = scanJson(bytes, requestLimits);
      const before = JSON.parse(bytes.toString()) as Record<string, unknown>;
      const changed = withMembers(bytes, members, new Map([[name, JSON.stringify(value)]]));
      expect(JSON.parse(changed.toString())).toEqual(
        Object.fromEntries([
          ...Object.entries(before).filter(([known]) => known !== name),
          [name, JSON.parse(JSON.stringify(value))],
        ]),
      );
      for (const member of members) {
        if (member.name !== name) expect(changed.includes(bytes.subarray(member.start, member.end))).toBe(true);
      }
      const removed = withMembers(bytes, members, new Map([[name, undefined]]));
      expect(JSON.parse(removed.toString())).toEqual(
        Object.fromEntries(Object.entries(before).filter(([known]) => known !== name)),
      );
      expect(withFields({ bytes, members, value: before }, { ...before })).toBe(bytes);
    }),
  );
});

test("garbage never hangs or throws anything but a refusal: JSON.parse has the last word", () => {
  fc.assert(
    fc.property(fc.array(fc.constantFrom("{", "}", "[", "]", ",", ":", '"', "\\", "1e9", "a", " ")), (tokens) => {
      try {
        scanJson(Buffer.from(tokens.join("")), requestLimits);
      } catch (error) {
        expect(error).toMatchObject({ code: "malformed_json" });
      }
    }),
  );
});
