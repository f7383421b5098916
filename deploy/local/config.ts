import path from "node:path";
import { fileURLToPath } from "node:url";

/** The only file of the launcher that reads the environment. */

export interface LauncherEnvironment {
  readonly root: string;
  /** Servers that somebody else runs: they win, and are only probed. */
  readonly given: { readonly postgresUrl?: string; readonly natsUrl?: string; readonly redisUrl?: string };
  /** Colour on this terminal (https://no-color.org). */
  readonly colour: boolean;
}

/** What our own processes may see of the caller's environment. Everything else they get from the table in services.ts. */
const passed = [
  "PATH",
  "HOME",
  "USER",
  "LANG",
  "LC_ALL",
  "TZ",
  "TMPDIR",
  "LOG_LEVEL",
  "NODE_EXTRA_CA_CERTS",
  "SSL_CERT_FILE",
  "HTTP_PROXY",
  "HTTPS_PROXY",
  "NO_PROXY",
  "http_proxy",
  "https_proxy",
  "no_proxy",
  "OTEL_EXPORTER_OTLP_ENDPOINT",
  "TELEGRAM_BOT_TOKEN",
] as const;

export function readEnvironment(): LauncherEnvironment {
  const postgresUrl = read("DATABASE_URL");
  const natsUrl = read("NATS_URL");
  const redisUrl = read("REDIS_URL");
  return {
    root: path.resolve(fileURLToPath(new URL("../..", import.meta.url))),
    given: {
      ...(postgresUrl === undefined ? {} : { postgresUrl }),
      ...(natsUrl === undefined ? {} : { natsUrl }),
      ...(redisUrl === undefined ? {} : { redisUrl }),
    },
    colour: process.stdout.isTTY && read("NO_COLOR") === undefined,
  };
}

/** The allowed part of our environment, for a child process. */
export function passedEnvironment(): Readonly<Record<string, string>> {
  return Object.fromEntries(
    passed.flatMap((name) => {
      const value = read(name);
      return value === undefined ? [] : [[name, value] as const];
    }),
  );
}

/** The whole environment, for the supervisor, which is this program again. */
export function wholeEnvironment(): NodeJS.ProcessEnv {
  return process.env;
}

function read(name: string): string | undefined {
  const value = process.env[name];
  return value === undefined || value === "" ? undefined : value;
}
