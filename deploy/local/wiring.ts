import { urlAs, type Infra } from "@codex/testkit";
import { mkdirSync } from "node:fs";
import path from "node:path";
import type { LauncherEnvironment } from "./config.ts";
import { roleUrl } from "./database.ts";
import type { Paths } from "./paths.ts";
import type { ChosenPorts, PortWish } from "./ports.ts";
import { demoUpstreamName, edgeName, gatewayName, serverUserSecretName, services, type Wiring } from "./services.ts";

export interface WireOptions {
  readonly paths: Paths;
  readonly ports: ChosenPorts;
  readonly infra: Pick<Infra, "natsUrl" | "redisUrl">;
  /** Servers that somebody else runs: they have the users that he made, and one URL for all. */
  readonly given: LauncherEnvironment["given"];
  readonly adminUrl: string;
  readonly secret: (name: string) => string;
}

/** Every port of local mode. Servers that somebody else runs need none. */
export function portWishes(given: LauncherEnvironment["given"]): readonly PortWish[] {
  const shown: Readonly<Record<string, string>> = { [edgeName]: "the dashboard", [gatewayName]: "the gateway" };
  const ours = services.flatMap((definition): PortWish[] => {
    const { name, httpPort, adminPort } = definition;
    const title = shown[name];
    return [
      {
        name: `${name}.http`,
        preferred: httpPort,
        ...(title === undefined ? {} : { shown: title }),
        // The demo channel in the gateway's database names this port.
        ...(name === demoUpstreamName ? { keep: true } : {}),
      },
      ...(adminPort === undefined ? [] : [{ name: `${name}.admin`, preferred: adminPort }]),
    ];
  });
  return [
    ...ours,
    ...(given.postgresUrl === undefined ? [{ name: "postgres", preferred: 8132 }] : []),
    ...(given.natsUrl === undefined ? [{ name: "nats", preferred: 8142 }] : []),
    ...(given.redisUrl === undefined ? [{ name: "redis", preferred: 8163 }] : []),
  ];
}

export function wire(options: WireOptions): Wiring {
  const { paths, ports, infra, given, adminUrl, secret } = options;
  const as = (server: "nats" | "redis", name: string): string => {
    const url = infra[`${server}Url`];
    if (given[`${server}Url`] !== undefined) return url;
    return urlAs(url, { name, password: secret(serverUserSecretName(server, name)) });
  };
  return {
    publicOrigin: `http://localhost:${String(ports.of(`${edgeName}.http`))}`,
    natsUrl: (user) => as("nats", user),
    redisUrl: (user) => as("redis", user),
    dataFolder: (name) => {
      const folder = path.join(paths.data, name);
      mkdirSync(folder, { recursive: true, mode: 0o700 });
      return folder;
    },
    databaseUrl: (schema, role) => roleUrl(adminUrl, schema, role, secret),
    secret,
    url: (name) => `http://127.0.0.1:${String(ports.of(`${name}.http`))}`,
    port: (name) => ports.of(name),
  };
}
