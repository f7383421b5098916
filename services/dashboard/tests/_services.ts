import { createEdgeApp, type EdgeConfig } from "@codex/dashboard";
import { listen } from "@codex/http";
import { freePort } from "@codex/testkit";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** The edge before six small servers that say who they are and what they were asked. They are not ours in these tests. */

export type Target = keyof EdgeConfig["targets"];
export const targets: readonly Target[] = ["auth", "keys", "billing", "gateway", "images", "bonus"];

export interface Echo {
  readonly service: Target;
  readonly method: string;
  readonly url: string;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly body: string;
}

export interface Edge {
  readonly origin: string;
  /** Replaces what one service answers. */
  answer(service: Target, handler: (req: IncomingMessage, res: ServerResponse) => void): void;
  /** The service is gone: its port refuses. */
  kill(service: Target): Promise<void>;
  stop(): Promise<void>;
}

export async function startEdge(): Promise<Edge> {
  const handlers = new Map<Target, (req: IncomingMessage, res: ServerResponse) => void>();
  const servers = new Map<Target, Server>();
  const urls = {} as Record<Target, string>;
  for (const service of targets) {
    const server = createServer((req, res) => (handlers.get(service) ?? echo(service))(req, res));
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    servers.set(service, server);
    urls[service] = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  }
  const pages = mkdtempSync(join(tmpdir(), "codex-edge-"));
  mkdirSync(join(pages, "assets"));
  writeFileSync(join(pages, "index.html"), '<!doctype html><meta name="csp-nonce" content="__CSP_NONCE__" />');
  writeFileSync(join(pages, "assets", "main-abc.js"), "export {};");
  writeFileSync(join(pages, "favicon.svg"), "<svg/>");
  const edge = await listen(createEdgeApp(urls, pages), { host: "127.0.0.1", port: await freePort() });
  const kill = (service: Target): Promise<void> =>
    new Promise((resolve) => {
      const server = servers.get(service);
      server?.closeAllConnections();
      server?.close(() => resolve());
    });
  return {
    origin: `http://127.0.0.1:${edge.port}`,
    answer: (service, handler) => void handlers.set(service, handler),
    kill,
    async stop() {
      await edge.close();
      await Promise.all(targets.map(kill));
      rmSync(pages, { recursive: true, force: true });
    },
  };
}

function echo(service: Target): (req: IncomingMessage, res: ServerResponse) => void {
  return (req, res) => {
    let body = "";
    req.setEncoding("utf8");
    req.on("data", (chunk: string) => (body += chunk));
    req.on("end", () => {
      const said: Echo = { service, method: req.method ?? "", url: req.url ?? "", headers: req.headers, body };
      res.writeHead(200, { "content-type": "application/json" }).end(JSON.stringify(said));
    });
  };
}
