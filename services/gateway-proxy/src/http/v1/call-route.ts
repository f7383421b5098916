import type { AppError } from "@codex/kernel";
import type { Route } from "../../app/catalogue.ts";
import { errorOfStatus, pathOf, type UpstreamResponse } from "../../upstream/openai.ts";
import type { GatewayParts, V1Context } from "./context.ts";
import type { OutgoingCall } from "./forward.ts";

/** One call to one channel. Resolves with a 200; throws the AppError that the client may see for anything else. */
export async function callRoute(
  parts: GatewayParts,
  context: V1Context,
  route: Route,
  call: OutgoingCall,
  stream: boolean,
): Promise<UpstreamResponse> {
  const upstream = await parts.upstream.call({
    baseUrl: route.baseUrl,
    secret: route.sealedSecret === null ? undefined : parts.unseal(route),
    path: pathOf(call.operation),
    body: call.body,
    contentType: call.contentType ?? "application/json",
    headers: { ...versionOf(call.operation), ...call.headers },
    stream,
    requestId: context.requestId,
    signal: context.clientGone,
  });
  if (upstream.status !== 200) throw await refused(upstream);
  return upstream;
}

/** Anthropic refuses a request without a version; a client that names none means the one that every client sent before 2026-10. */
function versionOf(operation: OutgoingCall["operation"]): Readonly<Record<string, string>> {
  return operation === "messages" || operation === "countTokens" ? { "anthropic-version": "2023-06-01" } : {};
}

/** Reads a bounded part of the refusal so that the connection can be used again; its text goes nowhere. */
async function refused(upstream: UpstreamResponse): Promise<AppError> {
  await upstream.body.dump({ limit: 65_536 }).catch(() => undefined);
  return errorOfStatus(upstream.status, upstream.retryAfterSeconds);
}
