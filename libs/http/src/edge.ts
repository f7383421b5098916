/** What a handler directly on node:http needs: the part of this library that brings neither Express nor the session's keys. */
export { endReply } from "./body.ts";
export { clientIpOf } from "./client-ip.ts";
export { listen } from "./listen.ts";
export { httpStatusOf, toAnthropicError, toOpenAiError } from "./render.ts";
