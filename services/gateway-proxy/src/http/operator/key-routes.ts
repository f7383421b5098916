import {
  channelKeyCreateBody,
  channelKeyParams,
  channelKeyUpdateBody,
  channelParams,
  channelResponse,
  channelRewrapResult,
} from "@codex/contracts";
import { defineRoute, type Route } from "@codex/http";
import { addKey, removeKey, rewrapKeys, setKeyEnabled, type ChannelPorts } from "../../app/manage-channels.ts";
import { answerWith, operatorsOnly } from "./shared.ts";

export function keyRoutes(ports: ChannelPorts): readonly Route[] {
  return [
    defineRoute({
      ...operatorsOnly,
      operationId: "addChannelKey",
      method: "POST",
      path: "/api/gateway/channels/:channelId/keys",
      summary: "One more key for a channel; its secret is sealed and never shown",
      rateClass: "write",
      bodyLimitBytes: 16_384,
      request: { params: channelParams, body: channelKeyCreateBody },
      responses: { 201: channelResponse },
      errors: ["not_found", "conflict"],
      handler: async ({ params, body, principal }) =>
        answerWith(await addKey(ports, principal.accountId, params.channelId, body.label, body.secret), 201),
    }),
    defineRoute({
      ...operatorsOnly,
      operationId: "updateChannelKey",
      method: "PATCH",
      path: "/api/gateway/channels/:channelId/keys/:keyId",
      summary: "Switch a key on or off; idempotent",
      rateClass: "write",
      bodyLimitBytes: 1_024,
      request: { params: channelKeyParams, body: channelKeyUpdateBody },
      responses: { 200: channelResponse },
      errors: ["not_found", "conflict"],
      handler: async ({ params, body, principal }) =>
        answerWith(await setKeyEnabled(ports, principal.accountId, params.channelId, params.keyId, body.enabled), 200),
    }),
    defineRoute({
      ...operatorsOnly,
      operationId: "removeChannelKey",
      method: "DELETE",
      path: "/api/gateway/channels/:channelId/keys/:keyId",
      summary: "Remove a key for good; running requests with it end",
      rateClass: "write",
      bodyLimitBytes: 0,
      request: { params: channelKeyParams },
      responses: { 200: channelResponse },
      errors: ["not_found", "conflict"],
      handler: async ({ params, principal }) =>
        answerWith(await removeKey(ports, principal.accountId, params.channelId, params.keyId), 200),
    }),
    defineRoute({
      ...operatorsOnly,
      operationId: "rewrapChannelKeys",
      method: "POST",
      path: "/api/gateway/channel-keys/rewrap",
      summary: "Bring every key under the current master key; idempotent",
      rateClass: "write",
      bodyLimitBytes: 1_024,
      request: {},
      responses: { 200: channelRewrapResult },
      errors: [],
      handler: async ({ principal }) => ({ status: 200, body: await rewrapKeys(ports, principal.accountId) }),
    }),
  ];
}
