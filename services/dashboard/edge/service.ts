import { listen } from "@codex/http";
import type { RunningService, ServiceContext } from "@codex/runtime";
import { fileURLToPath } from "node:url";
import { createEdgeApp } from "./app.ts";
import type { EdgeConfig } from "./config.ts";
import { webSocketsTo } from "./proxy.ts";

/** The compiled edge lies beside the page in dist/; from source the page is in ../dist/spa. */
const pageDirectory = fileURLToPath(
  new URL(import.meta.url.endsWith(".ts") ? "../dist/spa" : "./spa", import.meta.url),
);

/** Builds and starts the edge; the only file that constructs. */
export async function start({ config, scope }: ServiceContext<EdgeConfig>): Promise<RunningService> {
  const server = await listen(createEdgeApp(config.targets, pageDirectory), {
    host: config.common.httpHost,
    port: config.common.httpPort,
    onWebSocket: webSocketsTo(config.targets.gateway),
  });
  scope.defer("http", () => server.close());
  return { httpPort: server.port, httpUrl: `http://${config.common.httpHost}:${server.port}` };
}
