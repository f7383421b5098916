import { propertyRuns } from "@codex/testkit";
import { expect, test } from "@jest/globals";
import fc from "fast-check";
import { noTokens } from "../usage.ts";
import { ConversationBound } from "./conversation-bound.ts";

const text = fc.string({ unit: "binary", maxLength: 400 });

test("given any conversation, when a response begins, then no tokenizer reads more of it than the bound says", () => {
  const turn = fc.record({ said: text, heardMs: fc.nat(60_000), answer: fc.nat(2_000), spoken: fc.nat(4_000) });
  fc.assert(
    fc.property(fc.array(turn, { maxLength: 12 }), (turns) => {
      const conversation = new ConversationBound(1_000_000);
      let texts = 500;
      let sounds = 0;
      for (const { said, heardMs, answer, spoken } of turns) {
        conversation.say({ textBytes: Buffer.byteLength(said), audioMs: heardMs, images: 0 });
        // The worst tokenizer: a token a byte, and sound rounded up turn by turn; the frame of the session on top.
        texts += Buffer.byteLength(said);
        sounds += Math.floor(heardMs / 100);
        const bound = conversation.bound();
        if (bound.text < texts || bound.audio < sounds) return false;
        const read = conversation.mark();
        // While it is answered somebody goes on talking.
        conversation.say({ textBytes: 7, audioMs: 100, images: 0 });
        conversation.answered(read, {
          text: { ...noTokens, input: texts, output: answer },
          audio: { ...noTokens, cachedInput: sounds, output: spoken },
        });
        texts += answer + 7;
        sounds += spoken + 1;
      }
      const bound = conversation.bound();
      return bound.text >= texts && bound.audio >= sounds;
    }),
    { numRuns: propertyRuns(300) },
  );
});

test("given a conversation longer than the model's context, then the context is the bound, with or without room", () => {
  const conversation = new ConversationBound(32_768);
  conversation.say({ textBytes: 1_000_000, audioMs: 36_000_000, images: 3 });
  for (const bound of [conversation.bound(), conversation.boundWithRoom()])
    expect(bound).toEqual({ text: 32_768, audio: 32_768 });
});

test("given a picture, then it counts as the dearest one, and the estimate is a quarter of the text's bytes", () => {
  const conversation = new ConversationBound(100_000);
  conversation.say({ textBytes: 400, audioMs: 1_000, images: 1 });
  expect(conversation.bound()).toEqual({ text: 1_024 + 400 + 4_096, audio: 10 });
  expect(conversation.estimate()).toEqual({ text: 100, audio: 10 });
});
