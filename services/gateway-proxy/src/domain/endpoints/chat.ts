import { parseChatRequest, upstreamChanges, type ChatRequest } from "../chat-request.ts";
import { ChatStream } from "../chat-stream.ts";
import { jsonOutgoing, type Endpoint, type JsonBody } from "../endpoint.ts";
import { invalid, isObject } from "../fields.ts";
import { mayKeepLong } from "../long-cache.ts";
import { requestText } from "../request-text.ts";
import { textBytesOf } from "../typed-stream.ts";
import { chatUsage } from "../usage-objects.ts";
import { tokensFromOpenAiUsage } from "../usage.ts";

interface SourcedChatRequest extends ChatRequest {
  readonly source: JsonBody;
}

/** POST /v1/chat/completions. */
export const chatEndpoint: Endpoint<SourcedChatRequest> = {
  path: "/v1/chat/completions",
  operation: "chat",
  dialect: "openai",
  accepts: ["json"],
  forwardedHeaders: [],
  parse: (body) => {
    if (body.kind !== "json") throw invalid("", "The request body must be a JSON object.");
    return { ...parseChatRequest(body.value), source: body };
  },
  bound: ({ source, imageUrls, outputTokensAsked, answers }) => ({
    bodyBytes: source.bytes.length,
    imageUrls,
    outputTokensAsked,
    answers,
    // Kept where the request is converted for Anthropic, and by servers that know `cache_control` themselves.
    hourCache: mayKeepLong(source.bytes),
  }),
  text: ({ body }) => requestText(body),
  outgoing: (request, target) => jsonOutgoing(request.source, upstreamChanges(request, target)),
  json: {
    problem: (answer) => (Array.isArray(answer["choices"]) ? undefined : "answer has no choices"),
    metered: (answer) => ({
      tokens: tokensFromOpenAiUsage(answer["usage"]),
      answerBytes: textOfChoices(answer["choices"]),
    }),
    usage: chatUsage,
  },
  stream: () => new ChatStream("chat.completion.chunk"),
};

/** Bytes of answer text, for the estimate when the upstream reports no usage. */
function textOfChoices(choices: unknown): number {
  if (!Array.isArray(choices)) return 0;
  return choices.reduce((sum: number, choice) => sum + (isObject(choice) ? textBytesOf(choice["message"]) : 0), 0);
}
