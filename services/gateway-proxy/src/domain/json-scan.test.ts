import { expect, test } from "@jest/globals";
import fc from "fast-check";
import { readJson, requestLimits, scanJson, withFields, withMembers } from "./json-scan.ts";

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

test("the value that comes with the members is the parser's, also where the text is not ASCII", () => {
  fc.assert(
    fc.property(written, (bytes) => {
      const { value, members } = readJson(bytes, requestLimits);
      expect(value).toEqual(JSON.parse(bytes.toString()));
      expect(members).toEqual(scanJson(bytes, requestLimits));
    }),
  );
});

test("a name that stands twice is refused at any depth, however it is written and among however many", () => {
  const others = fc.uniqueArray(fc.string({ maxLength: 20 }), { maxLength: 40 });
  fc.assert(
    fc.property(others, fc.nat({ max: 5 }), fc.boolean(), (names, depth, isEscaped) => {
      const [first = "model"] = names;
      const escaped = [...first].map((letter) => [...JSON.stringify(letter)].slice(1, -1).join("")).join("");
      const again = isEscaped
        ? Array.from(
            { length: first.length },
            (_none, at) => `\\u${first.charCodeAt(at).toString(16).padStart(4, "0")}`,
          ).join("")
        : escaped;
      const members = [...new Set([first, ...names])].map((name) => `${JSON.stringify(name)}:1`);
      const inner = `{${members.join(",")},"${again}":2}`;
      const text = `${'{"x":[0,'.repeat(depth)}${inner}${"]}".repeat(depth)}`;
      expect(() => scanJson(Buffer.from(text), requestLimits)).toThrow("twice");
    }),
  );
});
