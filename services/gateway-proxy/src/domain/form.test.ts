import { expect, test } from "@jest/globals";
import fc from "fast-check";
import { boundaryOf, parseForm, textPart, writeForm } from "./form.ts";

test("what is written is read again: names, texts and files, of any bytes", () => {
  const bytes = fc.uint8Array({ maxLength: 200 }).map((content) => Buffer.from(content));
  fc.assert(
    fc.property(fc.array(bytes, { minLength: 1, maxLength: 8 }), (contents) => {
      const parts = contents.map((content, index) =>
        index % 2 === 0
          ? { name: "image[]", fileName: "a.PNG", contentType: "image/png", content }
          : textPart("prompt", content.toString("utf8")),
      );
      const { body, contentType } = writeForm(parts);
      const read = parseForm(body, boundaryOf(contentType));
      expect(read.map(({ name }) => name)).toEqual(parts.map(({ name }) => name));
      expect(read.map(({ content }) => Buffer.from(content))).toEqual(parts.map(({ content }) => Buffer.from(content)));
    }),
  );
});

test("a file's name and type cannot carry anything into the new headers", () => {
  const hostile = {
    name: "file",
    fileName: 'x"\r\nX-Evil: 1.wav',
    contentType: "text/html\r\nX-Evil: 1",
    content: Buffer.from("x"),
  };
  const text = writeForm([hostile]).body.toString();
  expect(text).not.toContain("X-Evil");
  expect(text).toContain('filename="file.wav"');
});

const form = (part: string): Buffer => Buffer.from(`--b\r\n${part}\r\n--b--\r\n`);
const disposition = 'Content-Disposition: form-data; name="model"';

test.each([
  ["no boundary at the start", Buffer.from(`preamble\r\n--b\r\n${disposition}\r\n\r\nx\r\n--b--`)],
  ["an end in the middle", Buffer.from(`--b\r\n${disposition}\r\n\r\nx`)],
  ["a part without headers", form("x")],
  ["two dispositions", form(`${disposition}\r\n${disposition}\r\n\r\nx`)],
  ["a name of other characters", form('Content-Disposition: form-data; name="mo del"\r\n\r\nx')],
  ["an encoded part", form(`${disposition}\r\nContent-Transfer-Encoding: base64\r\n\r\neA==`)],
  ["too many parts", Buffer.from(`${`--b\r\n${disposition}\r\n\r\nx\r\n`.repeat(65)}--b--`)],
])("refused: %s", (_name, body) => {
  expect(() => parseForm(body, "b")).toThrow(/^malformed_form: /);
});
