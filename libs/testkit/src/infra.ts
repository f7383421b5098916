import path from "node:path";
import { startChildren, type ServerName } from "./children.ts";
import type { InfraUrls } from "./config.ts";
import { removeInfraData } from "./data-folder.ts";
import { detectEngine } from "./engine.ts";
import { errorText } from "./error-text.ts";
import { checkGiven } from "./given.ts";
import { MissingProgramError } from "./programs.ts";
import type { ServerUsers } from "./server-users.ts";

export interface Infra extends InfraUrls {
  /** "given": all three; "testcontainers": at least one runs in a container. */
  readonly kind: "given" | "testcontainers" | "child";
  /** Stops what was started here; test data is removed. Idempotent. */
  stop(): Promise<void>;
}

export interface StartInfraOptions {
  /** One process at a time may hold it; made when missing. */
  readonly dataDir: string;
  /** Where to listen; any free port unless given. A default port is never taken by itself. */
  readonly ports?: { readonly postgres?: number; readonly nats?: number; readonly redis?: number };
  /** True: local mode, data is kept and written through. False: tests, no fsync, and dataDir is removed at the end. */
  readonly persistent: boolean;
  /** Gets sentences for the person at the terminal. */
  readonly log: (line: string) => void;
  /** Beside the administrators, whose addresses are in {@link Infra}. A given server has the users that its owner made. */
  readonly users?: ServerUsers;
  /** Servers that somebody else runs. They win over everything, are probed once, and are never stopped. */
  readonly given?: Partial<InfraUrls>;
  /** A Docker engine may be used: first in tests; in local mode only for a server whose program is missing. */
  readonly allowContainers?: boolean;
  /** Where programs unpacked from packages are kept; .codex/toolchain of this repository unless told. */
  readonly toolchainDir?: string;
}

interface Part {
  readonly urls: Partial<InfraUrls>;
  stop(): Promise<void>;
}

const names: readonly ServerName[] = ["postgres", "nats", "redis"];

/**
 * Postgres, NATS with JetStream, and Redis, ready to use. Throws one Error whose message holds a sentence for each
 * server that did not come up (a port in use, a missing program with the command that helps, the end of its log);
 * nothing keeps running then. The servers die with this process, a kill -9 included.
 */
export async function startInfra(options: StartInfraOptions): Promise<Infra> {
  const dataDir = path.resolve(options.dataDir);
  const given = options.given ?? {};
  await checkGiven(given);
  const wanted = names.filter((name) => given[`${name}Url`] === undefined);
  const local = { ...options, dataDir };
  const parts: Part[] = [];
  const stop = onlyOnce(async () => {
    await Promise.all(parts.map((part) => part.stop()));
    if (!options.persistent && wanted.length > 0) removeInfraData(dataDir);
  });
  try {
    const inContainers = wanted.length === 0 ? false : await startWanted(local, wanted, parts);
    const { postgresUrl, natsUrl, redisUrl } = parts.reduce<Partial<InfraUrls>>(
      (urls, part) => ({ ...part.urls, ...urls }),
      given,
    );
    if (postgresUrl === undefined || natsUrl === undefined || redisUrl === undefined)
      throw new Error("A server has no address.");
    const kind = wanted.length === 0 ? "given" : inContainers ? "testcontainers" : "child";
    return { kind, postgresUrl, natsUrl, redisUrl, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

/** Fills parts. Returns whether a container was needed. */
async function startWanted(options: StartInfraOptions, wanted: readonly ServerName[], parts: Part[]): Promise<boolean> {
  const containersFirst = options.allowContainers === true && !options.persistent;
  if (containersFirst && (await tryContainers(options, wanted, parts)) === undefined) return true;
  const children = await startChildren({ ...options, wanted, ports: options.ports ?? {} });
  parts.push(children);
  const failures = new Map(Object.entries(children.failures) as [ServerName, Error][]);
  const missing = [...failures.keys()].filter((name) => failures.get(name) instanceof MissingProgramError);
  if (options.allowContainers === true && !containersFirst && missing.length > 0 && missing.length === failures.size) {
    const refusal = await tryContainers(options, missing, parts);
    if (refusal === undefined) return true;
  }
  const errors = [...failures.values()];
  if (errors.length > 0) throw new AggregateError(errors, errors.map((error) => error.message).join("\n"));
  return false;
}

/** Undefined when they run, else why not, which was logged. */
async function tryContainers(
  options: StartInfraOptions,
  wanted: readonly ServerName[],
  parts: Part[],
): Promise<string | undefined> {
  const engine = await detectEngine();
  if (!engine.available) {
    options.log(`${engine.reason} Using programs of this machine.`);
    return engine.reason;
  }
  try {
    // Loaded late: the library is large, and most starts have no engine or need none.
    const { startContainers } = await import("./containers.ts");
    options.log(`${engine.reason} Starting ${wanted.join(", ")} in containers.`);
    parts.push(await startContainers({ ...options, wanted, ports: options.ports ?? {} }));
    return undefined;
  } catch (error) {
    const reason = `The containers did not start: ${errorText(error)}`;
    options.log(`${reason} Using programs of this machine.`);
    return reason;
  }
}

function onlyOnce(run: () => Promise<void>): () => Promise<void> {
  let running: Promise<void> | undefined;
  return () => (running ??= run());
}
