import { mkdirSync } from "node:fs";
import path from "node:path";
import { GenericContainer, type StartedTestContainer } from "testcontainers";
import type { ServerName } from "./children.ts";
import type { InfraUrls } from "./config.ts";
import { installSecrets, prepareDataFolder, type InstallSecrets } from "./data-folder.ts";
import { eventually } from "./eventually.ts";
import { natsAnswers, natsUrl, natsUser } from "./nats-server.ts";
import { initArguments, postgresAnswers, postgresUrl, postgresUser } from "./postgres-server.ts";
import { redisAnswers, redisUrl } from "./redis-server.ts";
import { natsAuthorization, redisUserWords, type ServerUsers } from "./server-users.ts";

/**
 * The same three servers from images. The engine publishes their ports on all addresses of its machine, which is why
 * each has a password of its own here too. They are removed when this process ends, however it ends, by the reaper
 * container of testcontainers.
 */

export interface ContainersOptions {
  readonly dataDir: string;
  readonly wanted: readonly ServerName[];
  readonly ports: Partial<Record<ServerName, number>>;
  readonly persistent: boolean;
  readonly users?: ServerUsers;
}

export interface Containers {
  readonly urls: Partial<InfraUrls>;
  stop(): Promise<void>;
}

interface Recipe {
  readonly image: string;
  readonly port: number;
  /** Where the image keeps its data. */
  readonly dataPath: string;
  readonly command: readonly string[];
  readonly environment: Record<string, string>;
  /** Put into the container before it starts. */
  readonly files?: readonly { readonly content: string; readonly target: string }[];
  readonly url: (host: string, port: number) => string;
  readonly answers: (host: string, port: number) => Promise<boolean>;
}

const startTimeoutMs = 180_000;
const answerTimeoutMs = 60_000;

/** Starts all wanted servers or none. Throws what the engine said. */
export async function startContainers(options: ContainersOptions): Promise<Containers> {
  prepareDataFolder(options.dataDir);
  const all = recipes(installSecrets(options.dataDir), options.persistent, options.users ?? { nats: [], redis: [] });
  const outcomes = await Promise.allSettled(options.wanted.map((name) => startOne(name, all[name], options)));
  const running = outcomes.flatMap((outcome) => (outcome.status === "fulfilled" ? [outcome.value] : []));
  const stop = async (): Promise<void> => {
    await Promise.all(running.map((started) => started.container.stop()));
  };
  const failed = outcomes.find((outcome) => outcome.status === "rejected");
  if (failed !== undefined) {
    await stop();
    throw failed.reason;
  }
  const urls = Object.fromEntries(running.map((started) => [`${started.name}Url`, started.url])) as Partial<InfraUrls>;
  return { urls, stop };
}

interface Started {
  readonly name: ServerName;
  readonly url: string;
  readonly container: StartedTestContainer;
}

async function startOne(name: ServerName, recipe: Recipe, options: ContainersOptions): Promise<Started> {
  const given = options.ports[name];
  const image = new GenericContainer(recipe.image)
    .withCommand([...recipe.command])
    .withEnvironment(recipe.environment)
    .withExposedPorts(given === undefined ? recipe.port : { container: recipe.port, host: given })
    .withCopyContentToContainer([...(recipe.files ?? [])])
    .withStartupTimeout(startTimeoutMs);
  if (options.persistent) {
    const source = path.join(options.dataDir, "containers", name);
    mkdirSync(source, { recursive: true });
    image.withBindMounts([{ source, target: recipe.dataPath, mode: "rw" }]);
  } else {
    image.withTmpFs({ [recipe.dataPath]: "rw" });
  }
  const container = await image.start();
  const host = container.getHost();
  const port = container.getMappedPort(recipe.port);
  try {
    await eventually(() => recipe.answers(host, port), {
      timeoutMs: answerTimeoutMs,
      everyMs: 50,
      what: `an answer of ${recipe.image}`,
    });
  } catch (error) {
    await container.stop();
    throw error;
  }
  return { name, container, url: recipe.url(host, port) };
}

function recipes(secrets: InstallSecrets, durable: boolean, users: ServerUsers): Record<ServerName, Recipe> {
  const fast = ["fsync=off", "synchronous_commit=off", "full_page_writes=off"];
  const settings = ["max_connections=200", "timezone=UTC", ...(durable ? [] : fast)];
  return {
    postgres: {
      image: "postgres:18-alpine",
      port: 5432,
      dataPath: "/var/lib/postgresql",
      command: ["postgres", ...settings.flatMap((setting) => ["-c", setting])],
      environment: {
        POSTGRES_USER: postgresUser,
        POSTGRES_PASSWORD: secrets.postgres,
        POSTGRES_INITDB_ARGS: initArguments(18).join(" "),
      },
      url: (host, port) => postgresUrl(port, secrets.postgres, host),
      answers: (host, port) => postgresAnswers(postgresUrl(port, secrets.postgres, host)),
    },
    nats: {
      image: "nats:2.12-alpine",
      port: 4222,
      dataPath: "/data",
      command: ["-js", "-sd", "/data", "-c", "/etc/codex-nats.conf"],
      environment: {},
      files: [{ content: natsAuthorization(natsUser, secrets.nats, users.nats), target: "/etc/codex-nats.conf" }],
      url: (host, port) => natsUrl(port, secrets.nats, host),
      answers: (host, port) => natsAnswers(port, secrets.nats, host),
    },
    redis: {
      image: "redis:8-alpine",
      port: 6379,
      dataPath: "/data",
      command: [
        ...["redis-server", "--requirepass", secrets.redis, "--save", "", "--appendonly", durable ? "yes" : "no"],
        ...users.redis.flatMap((user) => redisUserWords(user).map((word, index) => (index === 0 ? `--${word}` : word))),
      ],
      environment: {},
      url: (host, port) => redisUrl(port, secrets.redis, host),
      answers: (host, port) => redisAnswers(port, secrets.redis, host),
    },
  };
}
