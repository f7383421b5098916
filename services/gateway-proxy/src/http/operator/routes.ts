import { channelCreateBody, channelList, channelResponse } from "@codex/contracts";
import { appError, defineRoute, type Route } from "@codex/http";
import { createChannel, type ChannelPorts } from "../../app/manage-channels.ts";
import { toApiChannel } from "./convert.ts";

/** The operator's API of channels, under /api/gateway. */
export function operatorRoutes(ports: ChannelPorts): readonly Route[] {
  return [
    defineRoute({
      operationId: "listChannels",
      method: "GET",
      path: "/api/gateway/channels",
      summary: "Every upstream channel, without secrets",
      auth: "operator",
      roles: ["admin"],
      owner: "none",
      rateClass: "read",
      bodyLimitBytes: 0,
      logClass: "standard",
      request: {},
      responses: { 200: channelList },
      errors: [],
      handler: async () => {
        const { channels } = await ports.store.all();
        return { status: 200, body: { channels: channels.map(toApiChannel) } };
      },
    }),
    defineRoute({
      operationId: "createChannel",
      method: "POST",
      path: "/api/gateway/channels",
      summary: "Connect an upstream; it is live on every worker when this answers",
      auth: "operator",
      roles: ["admin"],
      owner: "none",
      rateClass: "write",
      bodyLimitBytes: 65_536,
      logClass: "standard",
      request: { body: channelCreateBody },
      responses: { 201: channelResponse },
      errors: ["conflict"],
      handler: async ({ body }) => {
        const created = await createChannel(ports, body);
        if (!created.ok) throw appError("conflict", created.message);
        return { status: 201, body: { channel: toApiChannel(created.value) } };
      },
    }),
  ];
}
