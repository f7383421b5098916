import { expect, test } from "@jest/globals";
import { jsonDepthMax, jsonKeysMax, parseJson } from "./json.ts";

const parse = (text: string): unknown => parseJson(Buffer.from(text));
const code = (name: string, param?: string): unknown =>
  expect.objectContaining({ code: name, ...(param === undefined ? {} : { param }) });

function thrownBy(run: () => unknown): unknown {
  try {
    return { returned: run() };
  } catch (error) {
    return error;
  }
}

test("given plain JSON, then its value", () => {
  expect(parse('{"a":[1,"ключ",null,{"b":true}]}')).toEqual({ a: [1, "ключ", null, { b: true }] });
});

test("given nesting up to the limit, then it is taken; one level more and 200 000 levels are refused", () => {
  const nested = (levels: number): string => "[".repeat(levels) + "]".repeat(levels);
  expect(thrownBy(() => parse(nested(jsonDepthMax)))).toHaveProperty("returned");
  expect(thrownBy(() => parse(nested(jsonDepthMax + 1)))).toEqual(code("malformed_json"));
  expect(thrownBy(() => parse(nested(200_000)))).toEqual(code("malformed_json"));
});

test("given keys up to the limit, then they are taken; one more is refused", () => {
  const wide = (keys: number): string =>
    JSON.stringify(Object.fromEntries(Array.from({ length: keys }, (_, index) => [`k${index}`, 1])));
  expect(thrownBy(() => parse(wide(jsonKeysMax)))).toHaveProperty("returned");
  expect(thrownBy(() => parse(wide(jsonKeysMax + 1)))).toEqual(code("malformed_json"));
});

test.each([
  ['{"a":{"__proto__":1}}', "/a/__proto__"],
  ['[{"constructor":1}]', "/0/constructor"],
  ['{"prototype":1}', "/prototype"],
  ['{"\\u005f_proto__":1}', "/__proto__"],
  ['{"n":1e309}', "/n"],
  ['{"a":["x","\\ud800"]}', "/a/1"],
  ['{"a":"x\\u0000y"}', "/a"],
])("given %s, then it is refused at %s", (text, pointer) => {
  expect(thrownBy(() => parse(text))).toEqual(code("invalid_request", pointer));
});

test("given bad JSON, then the message repeats nothing of it", () => {
  const error = thrownBy(() => parse('{"password":"hunter2",}'));
  expect(error).toEqual(code("malformed_json"));
  expect(String(error)).not.toContain("hunter2");
});
