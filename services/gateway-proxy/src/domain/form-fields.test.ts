import { AppError } from "@codex/kernel";
import { expect, test } from "@jest/globals";
import { number, text } from "./fields.ts";
import { fieldsAndFiles } from "./form-fields.ts";
import { textPart } from "./form.ts";

const fields = { model: text, temperature: number(0, 1) };
const read = (name: string, value: string) =>
  fieldsAndFiles({ kind: "form", size: value.length, parts: [textPart(name, value)] }, fields, []);

test("given texts, then those of numbers are numbers", () => {
  expect(read("model", "7").fields).toEqual({ model: "7" });
  expect(read("temperature", "0.5").fields).toEqual({ temperature: 0.5 });
});

test.each(["__proto__", "constructor", "prototype", "temprature"])(
  "SEC-111 given the field %s, then it is refused by name, and no object has it",
  (name) => {
    expect(() => read(name, "isAdmin")).toThrow(AppError);
    expect(() => read(name, "isAdmin")).toThrow(/unknown_parameter/);
    expect(({} as { isAdmin?: boolean }).isAdmin).toBeUndefined();
  },
);
