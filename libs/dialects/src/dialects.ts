import { chatAnswerIn } from "./chat/answer-in.ts";
import { chatAnswerOut } from "./chat/answer-out.ts";
import { chatFaultIn } from "./chat/error-in.ts";
import { openAiErrorBody } from "./chat/error-out.ts";
import { chatRequestIn } from "./chat/request-in.ts";
import { chatRequestOut, type ChatTarget } from "./chat/request-out.ts";
import { chatStreamIn } from "./chat/stream-in.ts";
import { chatStreamOut } from "./chat/stream-out.ts";
import { geminiAnswerIn } from "./gemini/answer-in.ts";
import { geminiAnswerOut } from "./gemini/answer-out.ts";
import { geminiFaultIn } from "./gemini/error-in.ts";
import { geminiErrorBody } from "./gemini/error-out.ts";
import { geminiRequestIn, type GeminiTarget } from "./gemini/request-in.ts";
import { geminiRequestOut } from "./gemini/request-out.ts";
import { geminiStreamIn } from "./gemini/stream-in.ts";
import { geminiStreamOut } from "./gemini/stream-out.ts";
import { messagesAnswerIn } from "./messages/answer-in.ts";
import { messagesAnswerOut } from "./messages/answer-out.ts";
import { messagesFaultIn } from "./messages/error-in.ts";
import { messagesErrorBody } from "./messages/error-out.ts";
import { messagesRequestIn } from "./messages/request-in.ts";
import { messagesRequestOut } from "./messages/request-out.ts";
import { messagesStreamIn } from "./messages/stream-in.ts";
import { messagesStreamOut } from "./messages/stream-out.ts";
import type { Answer } from "./model/answer.ts";
import type { DialectName, JsonObject } from "./model/dialect.ts";
import type { Fault, OutputContext, StreamIn, StreamOut } from "./model/events.ts";
import type { ConversionContext } from "./model/fields.ts";
import type { ConversationRequest } from "./model/request.ts";
import type { ToolNames } from "./model/tool-names.ts";
import { responsesAnswerIn } from "./responses/answer-in.ts";
import { responsesAnswerOut } from "./responses/answer-out.ts";
import { responsesFaultIn } from "./responses/error-in.ts";
import { responsesRequestIn } from "./responses/request-in.ts";
import { responsesRequestOut } from "./responses/request-out.ts";
import { responsesStreamIn } from "./responses/stream-in.ts";
import { responsesStreamOut } from "./responses/stream-out.ts";

/** A dialect is a record of small functions. All but the streams throw RefusedError, which `conversion.ts` turns into values. */
export interface Dialect {
  readonly requestIn: (context: ConversionContext, body: unknown, url: GeminiTarget) => ConversationRequest;
  readonly requestOut: (
    context: ConversionContext,
    request: ConversationRequest,
    names: ToolNames,
    target: ChatTarget,
  ) => JsonObject;
  readonly answerIn: (context: ConversionContext, body: unknown, answerId: string) => Answer;
  readonly answerOut: (output: OutputContext, answer: Answer) => JsonObject;
  readonly streamIn: (answerId: string) => StreamIn;
  readonly streamOut: (output: OutputContext) => StreamOut;
  readonly faultIn: (body: JsonObject) => Fault;
  readonly errorOut: (fault: Fault, requestId: string, param: string | null) => JsonObject;
  /** Whether a request can ask for several answers. */
  readonly severalAnswers: boolean;
}

export const dialects: Readonly<Record<DialectName, Dialect>> = {
  chat: {
    requestIn: chatRequestIn,
    requestOut: chatRequestOut,
    answerIn: chatAnswerIn,
    answerOut: chatAnswerOut,
    streamIn: chatStreamIn,
    streamOut: chatStreamOut,
    faultIn: chatFaultIn,
    errorOut: openAiErrorBody,
    severalAnswers: true,
  },
  messages: {
    requestIn: messagesRequestIn,
    requestOut: messagesRequestOut,
    answerIn: messagesAnswerIn,
    answerOut: messagesAnswerOut,
    streamIn: messagesStreamIn,
    streamOut: messagesStreamOut,
    faultIn: messagesFaultIn,
    errorOut: messagesErrorBody,
    severalAnswers: false,
  },
  responses: {
    requestIn: responsesRequestIn,
    requestOut: responsesRequestOut,
    answerIn: responsesAnswerIn,
    answerOut: responsesAnswerOut,
    streamIn: responsesStreamIn,
    streamOut: responsesStreamOut,
    faultIn: responsesFaultIn,
    errorOut: openAiErrorBody,
    severalAnswers: false,
  },
  gemini: {
    requestIn: geminiRequestIn,
    requestOut: geminiRequestOut,
    answerIn: geminiAnswerIn,
    answerOut: geminiAnswerOut,
    streamIn: geminiStreamIn,
    streamOut: geminiStreamOut,
    faultIn: geminiFaultIn,
    errorOut: geminiErrorBody,
    severalAnswers: true,
  },
};
