import { auditRoutes, type ReadActs, type Route } from "@codex/http";
import { channelRoutes } from "./channel-routes.ts";
import { insightRoutes, type InsightPorts } from "./insight-routes.ts";
import { keyRoutes } from "./key-routes.ts";
import { stateRoutes } from "./state-routes.ts";

/** The operator's API of channels, under /api/gateway. */
export function operatorRoutes(ports: InsightPorts, readActs: ReadActs): readonly Route[] {
  return [
    ...channelRoutes(ports),
    ...stateRoutes(ports),
    ...keyRoutes(ports),
    ...insightRoutes(ports),
    // Channels are nobody's own: there is nothing for a customer to see.
    ...auditRoutes({ prefix: "/api/gateway", about: "channels", name: "Channel", readActs, own: false }),
  ];
}
