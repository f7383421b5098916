export {
  convertRequest,
  readFault,
  writeError,
  type AnswerOptions,
  type ConvertedAnswer,
  type Exchange,
  type RequestOptions,
} from "./conversion.ts";
export { dialectNames, type DialectName } from "./model/dialect.ts";
export type { Fault } from "./model/events.ts";
export { hints, type HintName } from "./model/hints.ts";
export type { Conversion, Refusal } from "./model/refusal.ts";
export type { Usage } from "./model/usage.ts";
export type { StreamConversion, StreamState } from "./stream-conversion.ts";
