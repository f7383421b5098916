import { expect, test } from "@jest/globals";
import fc from "fast-check";
import { countedTextMax, requestText, runLengthMax } from "./request-text.ts";

const message = (content: unknown) => ({ messages: [{ role: "user", content }] });

test("all text that the model sees is there, no run is longer than the bound, and nothing is lost", () => {
  fc.assert(
    fc.property(
      fc.array(
        fc.oneof(
          fc.string(),
          fc.nat(2_000).map((length) => "я".repeat(length)),
        ),
        { maxLength: 8 },
      ),
      (parts) => {
        const content = parts.join(" ");
        const { pieces } = requestText(message(content))!;
        for (const piece of pieces)
          for (const run of piece.split(/\s/)) expect(run.length).toBeLessThanOrEqual(runLengthMax);
        expect(pieces.join("")).toContain(content.startsWith("data:") ? "" : content);
      },
    ),
  );
});

test("tools and schemas count, field names included; images by data URL do not", () => {
  const body = {
    ...message([{ type: "image_url", image_url: { url: `data:image/png;base64,${"A".repeat(1_000)}` } }]),
    tools: [{ type: "function", function: { name: "weather", parameters: { properties: { city_name: {} } } } }],
  };
  const text = requestText(body)!.pieces.join(" ");
  expect(text).toContain("weather");
  expect(text).toContain("city_name");
  expect(text).not.toContain("AAAA");
});

test("what is too large or too deep is not counted", () => {
  expect(requestText(message("x".repeat(countedTextMax + 1)))).toBeUndefined();
  let deep: unknown = "x";
  for (let level = 0; level < 50; level += 1) deep = [deep];
  expect(requestText(message(deep))).toBeUndefined();
});
