import { createServer, type Server } from "node:http";
import type { DemoUpstreamConfig } from "./config.ts";
import { FlakyCounter } from "./flaky.ts";
import { Exchange } from "./http/exchange.ts";
import { handle } from "./http/router.ts";
import { Journal } from "./journal.ts";
import { DemoRealtime } from "./realtime/accept.ts";

export interface RunningDemoUpstream {
  readonly url: string;
  readonly port: number;
  readonly journal: Journal;
  /** Stops accepting, gives running answers two seconds, then breaks them off. Idempotent. */
  close(): Promise<void>;
}

const drainMs = 2_000;
const connectionsMax = 10_000;

/** Starts the demo upstream in this process. Rejects when the address is taken or the journal file cannot be opened. */
export async function startDemoUpstream(config: DemoUpstreamConfig): Promise<RunningDemoUpstream> {
  const journal = new Journal({
    entriesMax: config.journalEntriesMax,
    file: config.journalFile,
    fileBytesMax: config.journalFileBytesMax,
  });
  const deps = { config, journal, flaky: new FlakyCounter() };
  const server = createServer({
    headersTimeout: 10_000,
    requestTimeout: 60_000,
    // Longer than a gateway keeps idle connections, so that it never writes on one that we have just closed.
    keepAliveTimeout: 75_000,
    // Agents send several kilobytes of metadata in headers.
    maxHeaderSize: 32_768,
    noDelay: true,
    shouldUpgradeCallback: (req) => req.headers.upgrade?.toLowerCase() === "websocket",
  });
  server.maxConnections = connectionsMax;
  server.on("request", (req, res) => {
    void handle(new Exchange(req, res, journal, config.exchangeMsMax), deps);
  });
  const realtime = new DemoRealtime(config, journal);
  server.on("upgrade", realtime.accept);
  try {
    await listening(server, config);
  } catch (error) {
    journal.close();
    throw error;
  }
  const address = server.address();
  const port = typeof address === "object" && address !== null ? address.port : config.port;
  const host = config.host.includes(":") ? `[${config.host}]` : config.host;
  let closing: Promise<void> | undefined;
  return {
    url: `http://${host}:${port}`,
    port,
    journal,
    close: () => (closing ??= closeServer(server, realtime).then(() => journal.close())),
  };
}

function listening(server: Server, config: DemoUpstreamConfig): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen(config.port, config.host, () => {
      server.off("error", reject);
      resolve();
    });
  });
}

function closeServer(server: Server, realtime: DemoRealtime): Promise<void> {
  return new Promise((resolve) => {
    const bound = setTimeout(() => server.closeAllConnections(), drainMs);
    server.close(() => {
      clearTimeout(bound);
      resolve();
    });
    server.closeIdleConnections();
    // The server does not know their sockets any more.
    realtime.close();
  });
}
