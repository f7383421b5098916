import { flushCompileCache } from "node:module";
import type { CommonConfig } from "./common-config.ts";
import { ConfigError, loadConfig, processEnvironment, type ConfigSpec } from "./config.ts";
import { launch, type Launch, type RunningService, type ServiceContext } from "./lifecycle.ts";
import { createLogger, standardOutput, type LogDestination, type Logger } from "./logger.ts";

export interface RunOptions<T extends { readonly common: CommonConfig }> {
  readonly name: string;
  readonly config: ConfigSpec<T>;
  readonly start: (ctx: ServiceContext<T>) => Promise<RunningService>;
  /** Bound from the signal to the end of the process; default 25,000, below the 30 s after which Kubernetes kills. */
  readonly forcedExitMs?: number;
}

/** sysexits.h: EX_USAGE and EX_CONFIG. */
const exitUsage = 64;
const exitConfig = 78;
/** After everything has closed, a forgotten handle may keep the process this much longer. */
const lingerMs = 2_000;

/**
 * The whole of a service's main.ts. Resolves when the service runs, or has refused to.
 *
 *   `--validate`       checks the configuration, prints the verdict, ends with 0 or 1; starts nothing
 *   wrong config       one readable message on standard error, exit code 78
 *   failed start       what was opened is closed, one line `service failed to start`, exit code 1
 *   SIGINT, SIGTERM    orderly stop (see `launch`), exit code 0; 1 when a closer failed or the bound was reached
 *   uncaught error     logged, then the same orderly stop, exit code 1
 */
export async function runService<T extends { readonly common: CommonConfig }>(opts: RunOptions<T>): Promise<void> {
  const args = process.argv.slice(2);
  const unknown = args.find((arg) => arg !== "--validate");
  if (unknown !== undefined) {
    process.stderr.write(`${opts.name}: unknown argument; the only one is --validate\n`);
    process.exitCode = exitUsage;
    return;
  }
  const config = readConfig(opts, args.includes("--validate"));
  if (config) await run(opts, config);
}

function readConfig<T extends { readonly common: CommonConfig }>(
  opts: RunOptions<T>,
  validateOnly: boolean,
): T | undefined {
  try {
    const config = loadConfig(opts.config, processEnvironment());
    if (!validateOnly) return config;
    process.stdout.write(`${opts.name}: the configuration is valid\n`);
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    process.stderr.write(`${error.message}\n`);
    process.exitCode = validateOnly ? 1 : exitConfig;
  }
  return undefined;
}

async function run<T extends { readonly common: CommonConfig }>(opts: RunOptions<T>, config: T): Promise<void> {
  const beganMs = performance.now();
  const destination = standardOutput();
  const logger = createLogger({ service: opts.name, level: config.common.logLevel, destination });
  const launched = launch({ name: opts.name, config, start: opts.start, logger });
  const stopping = stopOnSignals(launched, logger, opts.forcedExitMs ?? 25_000);
  try {
    const running = await launched.started;
    if (stopping.isStopping()) return;
    // A launcher waits for this line, so it does not depend on LOG_LEVEL.
    announce(opts.name, destination, config.common, running, performance.now() - beganMs);
    // Written at an orderly end by default; a process that is killed should find its code compiled as well. Does nothing
    // without NODE_COMPILE_CACHE, and where the folder cannot be written.
    flushCompileCache();
  } catch (error) {
    if (stopping.isStopping()) return;
    logger.error("service failed to start", { error });
    process.exitCode = 1;
    armExit(lingerMs, () => {
      logger.error("exit forced", { reason: openResources() });
    });
  }
}

function announce(
  service: string,
  destination: LogDestination,
  common: CommonConfig,
  running: RunningService & { readonly adminPort: number },
  durationMs: number,
): void {
  createLogger({ service, level: "info", destination }).info("service started", {
    instanceId: common.instanceId,
    pid: process.pid,
    port: running.httpPort,
    adminPort: running.adminPort,
    url: running.httpUrl,
    durationMs: Math.round(durationMs),
  });
}

function stopOnSignals(launched: Launch, logger: Logger, forcedExitMs: number): { isStopping(): boolean } {
  let stopping = false;
  let exitCode = 0;
  const stop = async (code: number): Promise<void> => {
    // An error that nobody caught counts in the middle of an orderly stop as well.
    exitCode = Math.max(exitCode, code);
    // A second signal changes nothing: Ctrl-C in a terminal reaches the process from the shell and from the launcher.
    if (stopping) return;
    stopping = true;
    const beganMs = performance.now();
    armExit(forcedExitMs, () => {
      logger.error("exit forced", { timeoutMs: forcedExitMs, reason: openResources() });
      process.exitCode = 1;
    });
    const failures = await launched.stop();
    process.exitCode = failures.length > 0 ? 1 : exitCode;
    logger.info("service stopped", { durationMs: Math.round(performance.now() - beganMs), count: failures.length });
    armExit(lingerMs, () => {
      logger.error("exit forced", { reason: openResources() });
    });
  };
  for (const signal of ["SIGINT", "SIGTERM"] as const) {
    process.on(signal, () => {
      logger.info("service stopping", { signal });
      void stop(0);
    });
  }
  for (const event of ["uncaughtException", "unhandledRejection"] as const) {
    process.on(event, (error: unknown) => {
      logger.error("uncaught error", { error, kind: event });
      void stop(1);
    });
  }
  return { isStopping: () => stopping };
}

/** What keeps the event loop alive, for the line that explains a forced exit. */
function openResources(): string {
  return `still open: ${process.getActiveResourcesInfo().join(", ")}`;
}

/** The timer does not keep the process alive: it matters only when something else does. */
function armExit(afterMs: number, before: () => void): void {
  setTimeout(() => {
    before();
    // eslint-disable-next-line no-restricted-syntax -- the one forced exit: something did not close within its bound
    process.exit();
  }, afterMs).unref();
}
