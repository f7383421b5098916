import { freePort, type ServerUsers } from "@codex/testkit";
import { randomBytes } from "node:crypto";
import { mkdirSync, writeFileSync } from "node:fs";
import path from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { startChild } from "../../../libs/testkit/src/child-server.ts";
import { natsAnswers, natsUrl } from "../../../libs/testkit/src/nats-server.ts";
import { findNats } from "../../../libs/testkit/src/programs.ts";
import { natsAuthorization } from "../../../libs/testkit/src/server-users.ts";
import type { Watchdog } from "../../../libs/testkit/src/watchdog.ts";
import { Kept } from "./servers.ts";

/** Three NATS servers on loopback that keep three copies of every stream. */
export interface NatsCluster {
  readonly urls: readonly string[];
  readonly nodes: readonly Kept[];
  /** Every node up again. */
  heal(): Promise<void>;
  stop(): Promise<void>;
}

const size = 3;

export async function startCluster(
  dataDir: string,
  watchdog: Watchdog,
  log: (line: string) => void,
  users: ServerUsers,
): Promise<NatsCluster> {
  const program = await findNats({ log });
  const password = randomBytes(12).toString("hex");
  const authorization = natsAuthorization("codex", password, users.nats);
  const ports: { readonly client: number; readonly route: number }[] = [];
  for (let index = 0; index < size; index += 1) ports.push({ client: await freePort(), route: await freePort() });
  const routes = ports.map(({ route }) => `nats://127.0.0.1:${String(route)}`);
  const nodes = ports.map(({ client, route }, index) => {
    const name = `nats-${String(index + 1)}`;
    const folder = path.join(dataDir, name);
    mkdirSync(folder, { recursive: true, mode: 0o700 });
    const configFile = path.join(folder, "server.conf");
    writeFileSync(configFile, nodeConfig({ name, folder, client, route, routes, authorization }), { mode: 0o600 });
    return new Kept(name, natsUrl(client, password), client, () =>
      startChild(
        {
          name,
          command: program.command,
          args: ["-c", configFile],
          logFile: path.join(dataDir, "logs", `${name}.log`),
          pidFile: path.join(dataDir, "pids", `${name}.json`),
          stopSignal: "TERM",
          stopTimeoutMs: 10_000,
          readyTimeoutMs: 30_000,
          ready: () => natsAnswers(client, password),
        },
        { watchdog, log },
      ),
    );
  });
  await Promise.all(nodes.map((node) => node.start()));
  // The meta group elects its leader; until then JetStream refuses every question.
  await delay(3_000);
  return {
    urls: nodes.map(({ url }) => url),
    nodes,
    heal: async () => {
      for (const node of nodes) node.resume();
      await Promise.all(nodes.map((node) => node.start()));
    },
    stop: async () => {
      await Promise.all(nodes.map((node) => node.stop()));
    },
  };
}

function nodeConfig(node: {
  readonly name: string;
  readonly folder: string;
  readonly client: number;
  readonly route: number;
  readonly routes: readonly string[];
  readonly authorization: string;
}): string {
  return `listen: "127.0.0.1:${String(node.client)}"
server_name: "${node.name}"
jetstream { store_dir: ${JSON.stringify(node.folder)}, max_file_store: 2147483648, max_memory_store: 134217728 }
${node.authorization}
cluster {
  name: "chaos"
  listen: "127.0.0.1:${String(node.route)}"
  routes: ${JSON.stringify(node.routes)}
}
`;
}
