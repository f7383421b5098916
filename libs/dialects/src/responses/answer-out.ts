import { logprobsOut } from "../chat/logprobs.ts";
import type { Answer, TokenLogprob } from "../model/answer.ts";
import type { JsonObject } from "../model/dialect.ts";
import type { OutputContext } from "../model/events.ts";
import { assistantItems, callBody, contentOut, reasoningBody, type OutputItem } from "./item-out.ts";
import { itemId, responseObject, responsesStopOut } from "./response.ts";

/** Model → a whole response. The first candidate is the answer: there is no way to ask for several here. */
export function responsesAnswerOut(output: OutputContext, answer: Answer): JsonObject {
  const [candidate] = answer.candidates;
  const parts = candidate?.parts ?? [];
  const inWords = parts.some(({ type }) => type === "refusal");
  const items = assistantItems(parts);
  const firstMessage = items.findIndex(({ type }) => type === "message");
  return responseObject(output, answer.id, {
    ...responsesStopOut(candidate?.stop ?? "end", inWords),
    items: items.map((item, index) =>
      itemOut(output, item, index, index === firstMessage ? candidate?.logprobs : undefined),
    ),
    usage: answer.usage,
  });
}

function itemOut(
  output: OutputContext,
  item: OutputItem,
  index: number,
  logprobs: readonly TokenLogprob[] | undefined,
): JsonObject {
  switch (item.type) {
    case "message": {
      const content = item.content.map((part, place) => ({
        ...contentOut(part),
        // Other dialects do not say which part a token belongs to.
        ...(place === 0 && part.type === "text" && logprobs !== undefined ? { logprobs: logprobsOut(logprobs) } : {}),
      }));
      return { id: itemId(output, "message", index), type: "message", status: "completed", role: "assistant", content };
    }
    case "reasoning":
      return { id: itemId(output, "reasoning", index), ...reasoningBody(item.part) };
    case "call": {
      const type = item.call.custom ? "custom_tool_call" : "function_call";
      return { id: itemId(output, type, index), ...callBody(item.call, item.call.arguments), status: "completed" };
    }
  }
}
