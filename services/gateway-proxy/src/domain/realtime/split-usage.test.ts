import { propertyRuns } from "@codex/testkit";
import { describe, expect, test } from "@jest/globals";
import fc from "fast-check";
import { noTokens } from "../usage.ts";
import { splitUsage } from "./split-usage.ts";

describe("the usage of a response, split into text and sound", () => {
  test("given the vendor's own example of a later turn, then each class is where its price is", () => {
    const usage = {
      total_tokens: 253,
      input_tokens: 132,
      output_tokens: 121,
      input_token_details: {
        text_tokens: 119,
        audio_tokens: 13,
        image_tokens: 0,
        cached_tokens: 64,
        cached_tokens_details: { text_tokens: 64, audio_tokens: 0, image_tokens: 0 },
      },
      output_token_details: { text_tokens: 30, audio_tokens: 91 },
    };
    expect(splitUsage(usage)).toEqual({
      text: { ...noTokens, input: 55, cachedInput: 64, output: 30 },
      audio: { ...noTokens, input: 13, output: 91 },
    });
  });

  test.each([
    ["nothing", undefined],
    ["null", null],
    ["text", "usage"],
    ["no totals", { input_token_details: { text_tokens: 3 } }],
    ["a negative total", { input_tokens: -1, output_tokens: 1 }],
    ["a fraction", { input_tokens: 1.5, output_tokens: 1 }],
    ["a number as text", { input_tokens: "1", output_tokens: 1 }],
    ["more than anybody reads", { input_tokens: 1e12, output_tokens: 1 }],
    ["more sound than all", { input_tokens: 1, output_tokens: 1, input_token_details: { audio_tokens: 2 } }],
    ["negative sound", { input_tokens: 9, output_tokens: 1, input_token_details: { audio_tokens: -2 } }],
  ])("given %s, then it is not believed", (_what, usage) => {
    expect(splitUsage(usage)).toBeUndefined();
  });

  test("given an explicit zero, then it is zero", () => {
    expect(splitUsage({ input_tokens: 0, output_tokens: 0 })).toEqual({ text: noTokens, audio: noTokens });
  });

  test("given any details, then no token is made or lost, and none is negative", () => {
    const count = fc.nat(5_000);
    fc.assert(
      fc.property(count, count, count, count, count, count, (input, output, heard, spoken, cached, cachedAudio) => {
        const split = splitUsage({
          input_tokens: input,
          output_tokens: output,
          input_token_details: {
            audio_tokens: heard,
            cached_tokens: cached,
            cached_tokens_details: { audio_tokens: cachedAudio },
          },
          output_token_details: { audio_tokens: spoken },
        });
        if (heard > input || spoken > output) return split === undefined;
        const { text, audio } = split!;
        const all = [...Object.values(text), ...Object.values(audio)];
        return (
          all.every((part) => part >= 0) &&
          text.input + text.cachedInput + audio.input + audio.cachedInput === input &&
          text.output + audio.output === output &&
          audio.input + audio.cachedInput === heard
        );
      }),
      { numRuns: propertyRuns(500) },
    );
  });
});
