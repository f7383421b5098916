import os from "node:os";
import path from "node:path";

/** How tests get their servers: containers first, child servers only, given addresses first, or none at all. */
export type TestInfraMode = "auto" | "child" | "given" | "none";

export interface InfraUrls {
  /** Superuser, database "postgres". */
  readonly postgresUrl: string;
  /** nats://user:password@host:port */
  readonly natsUrl: string;
  /** redis://:password@host:port */
  readonly redisUrl: string;
}

/** The variable through which the global set-up hands the addresses to the workers of Jest. */
export const infraUrlsVariable = "CODEX_TEST_INFRA_URLS";

/** The variable through which it hands them the folder of the run's log. */
const testLogVariable = "CODEX_TEST_LOG";

/** Throws on a value of CODEX_TEST_INFRA that is not one of the four. */
export function testInfraMode(): TestInfraMode {
  const mode = read("CODEX_TEST_INFRA") ?? "auto";
  if (mode === "auto" || mode === "child" || mode === "given" || mode === "none") return mode;
  throw new Error(`CODEX_TEST_INFRA is "${mode}"; it must be auto, child, given or none.`);
}

/** Addresses of servers that somebody else runs, for tests. */
export function givenTestUrls(): Partial<InfraUrls> {
  const postgresUrl = read("CODEX_TEST_POSTGRES_URL");
  const natsUrl = read("CODEX_TEST_NATS_URL");
  const redisUrl = read("CODEX_TEST_REDIS_URL");
  return {
    ...(postgresUrl === undefined ? {} : { postgresUrl }),
    ...(natsUrl === undefined ? {} : { natsUrl }),
    ...(redisUrl === undefined ? {} : { redisUrl }),
  };
}

/** Where this worker of Jest keeps what services say; undefined outside a run with our global set-up. */
export function testLogFile(): string | undefined {
  const folder = read(testLogVariable);
  return folder === undefined ? undefined : path.join(folder, `${read("JEST_WORKER_ID") ?? "0"}.ndjson`);
}

export function startedUrlsText(): string | undefined {
  return read(infraUrlsVariable);
}

/** Keep the databases of tests, and the servers, for looking into them after the run. */
export function keepTestDatabases(): boolean {
  return read("KEEP_TEST_DB") === "1";
}

/** As it was set; see property-runs.ts. */
export function askedPropertyRuns(): string | undefined {
  return read("FC_NUM_RUNS");
}

/** Folders where a server's program may be: PATH, then those that a plain user's PATH leaves out. */
export function binaryFolders(): readonly string[] {
  const listed = (read("PATH") ?? "").split(path.delimiter).filter((folder) => path.isAbsolute(folder));
  return [...new Set([...listed, "/usr/local/bin", "/opt/homebrew/bin", "/usr/local/sbin", "/usr/sbin", "/sbin"])];
}

/** What a child server may see of our environment: nothing secret, and the plain C locale. */
export function childEnvironment(): Record<string, string> {
  return { PATH: read("PATH") ?? "/usr/bin:/bin:/usr/sbin:/sbin", LC_ALL: "C", HOME: "/", TZ: "UTC" };
}

/** The environment of the package manager of the system. */
export function installEnvironment(): Record<string, string> {
  return { ...childEnvironment(), ...proxySettings(), HOME: os.homedir(), DEBIAN_FRONTEND: "noninteractive" };
}

export interface EngineAddresses {
  readonly dockerHost: string | undefined;
  readonly sockets: readonly string[];
}

/** Where a Docker engine may answer: DOCKER_HOST, else the sockets where testcontainers looks too. */
export function engineAddresses(): EngineAddresses {
  const home = os.homedir();
  const runtimeFolder = read("XDG_RUNTIME_DIR");
  return {
    dockerHost: read("DOCKER_HOST"),
    sockets: [
      "/var/run/docker.sock",
      ...(runtimeFolder === undefined ? [] : [path.join(runtimeFolder, "docker.sock")]),
      path.join(home, ".docker/run/docker.sock"),
      path.join(home, ".docker/desktop/docker.sock"),
    ],
  };
}

function proxySettings(): Record<string, string> {
  const names = ["http_proxy", "https_proxy", "no_proxy", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY"];
  return Object.fromEntries(
    names.flatMap((name) => {
      const value = read(name);
      return value === undefined ? [] : [[name, value] as const];
    }),
  );
}

function read(name: string): string | undefined {
  const value = process.env[name];
  return value === undefined || value === "" ? undefined : value;
}
