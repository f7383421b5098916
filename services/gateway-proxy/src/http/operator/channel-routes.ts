import { channelCreateBody, channelList, channelParams, channelResponse, channelUpdateBody } from "@codex/contracts";
import { defineRoute, notFound, type Route } from "@codex/http";
import {
  createChannel,
  deleteChannel,
  findChannel,
  updateChannel,
  type ChannelPorts,
} from "../../app/manage-channels.ts";
import { defaultEgress } from "../../upstream/base-url.ts";
import { fromApiSettings, toApiChannel } from "./convert.ts";
import { answerWith, operatorsOnly, refuseBy } from "./shared.ts";

const bodyLimitBytes = 262_144;

export function channelRoutes(ports: ChannelPorts): readonly Route[] {
  return [...readRoutes(ports), ...writeRoutes(ports)];
}

function readRoutes(ports: ChannelPorts): readonly Route[] {
  return [
    defineRoute({
      ...operatorsOnly,
      operationId: "listChannels",
      method: "GET",
      path: "/api/gateway/channels",
      summary: "Every upstream channel, by name, without secrets",
      rateClass: "read",
      bodyLimitBytes: 0,
      request: {},
      responses: { 200: channelList },
      errors: [],
      handler: async () => {
        const { channels } = await ports.store.all();
        return { status: 200, body: { channels: channels.map(toApiChannel) } };
      },
    }),
    defineRoute({
      ...operatorsOnly,
      operationId: "readChannel",
      method: "GET",
      path: "/api/gateway/channels/:channelId",
      summary: "One channel, without secrets",
      rateClass: "read",
      bodyLimitBytes: 0,
      request: { params: channelParams },
      responses: { 200: channelResponse },
      errors: ["not_found"],
      handler: async ({ params }) => {
        const found = await findChannel(ports, params.channelId);
        if (!found) throw notFound();
        return { status: 200, body: { channel: toApiChannel(found) } };
      },
    }),
  ];
}

function writeRoutes(ports: ChannelPorts): readonly Route[] {
  return [
    defineRoute({
      ...operatorsOnly,
      operationId: "createChannel",
      method: "POST",
      path: "/api/gateway/channels",
      summary: "Connect an upstream; it is on its way to every worker when this answers",
      rateClass: "write",
      bodyLimitBytes,
      request: { body: channelCreateBody },
      responses: { 201: channelResponse },
      errors: ["conflict"],
      handler: async ({ body, principal }) => {
        const { dailyBudget, baseUrl, egress, ...rest } = body;
        const draft = {
          ...rest,
          baseUrl,
          egress: egress ?? defaultEgress(body.kind),
          dailyBudgetMicroTokens: dailyBudget,
        };
        return answerWith(await createChannel(ports, principal.accountId, draft), 201);
      },
    }),
    defineRoute({
      ...operatorsOnly,
      operationId: "updateChannel",
      method: "PATCH",
      path: "/api/gateway/channels/:channelId",
      summary: "Change settings of a channel; refused when somebody else changed it since `version`",
      rateClass: "write",
      bodyLimitBytes,
      request: { params: channelParams, body: channelUpdateBody },
      responses: { 200: channelResponse },
      errors: ["not_found", "conflict"],
      handler: async ({ params, body, principal }) => {
        const { version, ...settings } = body;
        const changed = fromApiSettings(settings);
        return answerWith(await updateChannel(ports, principal.accountId, params.channelId, version, changed), 200);
      },
    }),
    defineRoute({
      ...operatorsOnly,
      operationId: "deleteChannel",
      method: "DELETE",
      path: "/api/gateway/channels/:channelId",
      summary: "Delete a disabled channel with its keys, for good",
      rateClass: "write",
      bodyLimitBytes: 0,
      request: { params: channelParams },
      responses: { 204: null },
      errors: ["not_found", "conflict"],
      handler: async ({ params, principal }) => {
        const removed = await deleteChannel(ports, principal.accountId, params.channelId);
        if (!removed.ok) throw refuseBy(removed.code, removed.message);
        return { status: 204 };
      },
    }),
  ];
}
