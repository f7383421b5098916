import {
  channelActList,
  channelActQuery,
  channelHealth,
  channelHealthList,
  channelParams,
  channelTestBody,
  channelTestResult,
  type ChannelHealth,
  type ChannelTestResult,
} from "@codex/contracts";
import { defineRoute, notFound, type Route } from "@codex/http";
import type { ChannelId, RequestId, UpstreamKeyId } from "@codex/kernel";
import { findChannel, type ChannelPorts } from "../../app/manage-channels.ts";
import type { StoredChannel } from "../../app/ports.ts";
import { operatorsOnly } from "./shared.ts";

export interface InsightPorts extends ChannelPorts {
  readonly health: (channel: StoredChannel) => Promise<ChannelHealth>;
  /** Undefined: this worker has not heard of the channel yet. */
  readonly test: (order: {
    readonly channelId: ChannelId;
    readonly model: string | undefined;
    readonly keyId: UpstreamKeyId | undefined;
    readonly requestId: RequestId;
    readonly signal: AbortSignal;
  }) => Promise<ChannelTestResult | undefined>;
}

export function insightRoutes(ports: InsightPorts): readonly Route[] {
  return [...healthRoutes(ports), testRoute(ports), actsRoute(ports)];
}

function healthRoutes(ports: InsightPorts): readonly Route[] {
  return [
    defineRoute({
      ...operatorsOnly,
      operationId: "readChannelHealth",
      method: "GET",
      path: "/api/gateway/channels/:channelId/health",
      summary: "How a channel is at each worker: running requests, resting keys, breakers, and what it cost today",
      rateClass: "read",
      bodyLimitBytes: 0,
      request: { params: channelParams },
      responses: { 200: channelHealth },
      errors: ["not_found"],
      handler: async ({ params }) => {
        const found = await findChannel(ports, params.channelId);
        if (!found) throw notFound();
        return { status: 200, body: await ports.health(found) };
      },
    }),
    defineRoute({
      ...operatorsOnly,
      operationId: "listChannelHealth",
      method: "GET",
      path: "/api/gateway/channel-health",
      summary: "How every channel is, by name",
      rateClass: "read",
      bodyLimitBytes: 0,
      request: {},
      responses: { 200: channelHealthList },
      errors: [],
      handler: async () => {
        const { channels } = await ports.store.all();
        return { status: 200, body: { channels: await Promise.all(channels.map(ports.health)) } };
      },
    }),
  ];
}

function testRoute(ports: InsightPorts): Route {
  return defineRoute({
    ...operatorsOnly,
    operationId: "testChannel",
    method: "POST",
    path: "/api/gateway/channels/:channelId/test",
    summary:
      "Send one small real request by the channel, whatever its state; the upstream charges for it, nobody else does",
    rateClass: "write",
    bodyLimitBytes: 4_096,
    request: { params: channelParams, body: channelTestBody },
    responses: { 200: channelTestResult },
    errors: ["not_found"],
    handler: async ({ params, body, requestId, signal }) => {
      const { channelId } = params;
      const result = await ports.test({ channelId, model: body.model, keyId: body.keyId, requestId, signal });
      if (!result) throw notFound();
      return { status: 200, body: result };
    },
  });
}

function actsRoute(ports: InsightPorts): Route {
  return defineRoute({
    ...operatorsOnly,
    operationId: "listChannelActs",
    method: "GET",
    path: "/api/gateway/channel-acts",
    summary: "What operators did with channels, newest first",
    rateClass: "read",
    bodyLimitBytes: 0,
    request: { query: channelActQuery },
    responses: { 200: channelActList },
    errors: [],
    handler: async ({ query }) => ({
      status: 200,
      body: { acts: [...(await ports.store.acts(query.channelId, query.limit))] },
    }),
  });
}
