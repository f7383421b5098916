import { connectBus } from "@codex/bus";
import { serverUsers } from "@codex/setup";
import { Scope } from "@codex/kernel";
import { startInfra, type Infra } from "@codex/testkit";
import { rmSync } from "node:fs";
import path from "node:path";
import { startWatchdog } from "../../libs/testkit/src/watchdog.ts";
import { build } from "./build.ts";
import { passedEnvironment, type LauncherEnvironment } from "./config.ts";
import { ensureDatabase, provisionSchemas } from "./database.ts";
import { writePrivateJson } from "./files.ts";
import { sendFirstRequest } from "./first-request.ts";
import { Fleet } from "./fleet.ts";
import { releaseLock, takeLock } from "./lock.ts";
import { ProcessRecords, stopLeftovers } from "./owned-processes.ts";
import type { Paths } from "./paths.ts";
import { choosePorts, rememberedPorts, rememberPorts, type ChosenPorts } from "./ports.ts";
import { Problem } from "./problem.ts";
import { commandMessage, type CardFacts, type SupervisorState } from "./protocol.ts";
import { Interrupted, isAbort, Reporter } from "./reporter.ts";
import { runTool } from "./run-tool.ts";
import type { RunFile } from "./run-file.ts";
import { ensureSecrets, type EnsuredSecrets } from "./secrets.ts";
import { demoOperatorEmail, demoUserEmail, seed, type Seeded } from "./seed.ts";
import {
  databaseSecrets,
  serverUserSecretName,
  serverUserSecrets,
  demoUpstreamName,
  edgeName,
  gatewayName,
  programOf,
  serviceNamed,
  services,
  type Wiring,
} from "./services.ts";
import { portWishes, wire } from "./wiring.ts";

/**
 * The supervisor: brings the system up step by step, keeps it up, takes it down in the opposite order. It runs in a session
 * of its own and talks to the command that started it over IPC.
 *
 *   the command says "detach"    the supervisor goes on alone
 *   the command disappears       the same as Ctrl-C: everything is stopped
 *   SIGINT, SIGTERM, SIGHUP      everything is stopped, also in the middle of a step
 */
export interface SuperviseOptions {
  readonly paths: Paths;
  readonly environment: LauncherEnvironment;
  readonly portBase: number | undefined;
}

const migrateTimeoutMs = 60_000;
const toolTimeoutMs = 30_000;
const firstModel = "demo-small";
const firstPrompt = "Say hello and tell me what you are.";

export async function supervise(options: SuperviseOptions): Promise<number> {
  const { paths } = options;
  const reporter = new Reporter(paths.supervisorLog);
  const lock = takeLock(paths.lock);
  if (!lock.taken) {
    await reporter.last({ kind: "refused" });
    leave(reporter);
    return 0;
  }
  const scope = new Scope({ closerTimeoutMs: 60_000 });
  const stop = new AbortController();
  const run = new Run(options, reporter, scope, stop.signal);
  const stopped = listenForStop(stop, run);
  let clean = true;
  try {
    await run.start(lock.stale);
    await stopped;
  } catch (error) {
    if (!isAbort(error)) clean = false;
  } finally {
    run.stopping();
    const failures = await scope.close();
    for (const failure of failures) reporter.note(`${failure.name} did not stop cleanly: ${String(failure.error)}`);
    for (const file of [paths.runFile, paths.supervisorState, paths.processes]) rmSync(file, { force: true });
    releaseLock(paths.lock);
    await reporter.last({ kind: "stopped", clean });
    leave(reporter);
  }
  return clean ? 0 : 1;
}

const lingerMs = 5_000;

/** The channel to the command would keep this process alive; and so would a handle that somebody forgot, but not for long. */
function leave(reporter: Reporter): void {
  if (process.connected) process.disconnect?.();
  setTimeout(() => {
    reporter.note(`exit forced, still open: ${process.getActiveResourcesInfo().join(", ")}`);
    // eslint-disable-next-line no-restricted-syntax -- everything is stopped and told; only a leaked handle is left
    process.exit();
  }, lingerMs).unref();
}

/** Resolves when somebody wants the system stopped. */
function listenForStop(stop: AbortController, run: Run): Promise<void> {
  return new Promise((resolve) => {
    const end = (): void => {
      stop.abort(new Interrupted("stopped"));
      resolve();
    };
    for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(signal, end);
    process.on("message", (message) => {
      if (commandMessage.safeParse(message).success) run.detach();
    });
    process.on("disconnect", () => {
      if (!run.detached) end();
    });
    // It may have gone before we listened.
    if (process.send !== undefined && !process.connected) end();
  });
}

class Run {
  detached = false;
  private readonly options: SuperviseOptions;
  private readonly paths: Paths;
  private readonly reporter: Reporter;
  private readonly scope: Scope;
  private readonly signal: AbortSignal;
  private readonly startedAt = new Date();
  private phase: SupervisorState["phase"] = "starting";
  private fleet: Fleet | undefined;
  private card: CardFacts | undefined;
  private writeRunFile: () => void = () => undefined;

  constructor(options: SuperviseOptions, reporter: Reporter, scope: Scope, signal: AbortSignal) {
    this.options = options;
    this.paths = options.paths;
    this.reporter = reporter;
    this.scope = scope;
    this.signal = signal;
  }

  async start(leftovers: boolean): Promise<void> {
    const startedMs = performance.now();
    const { paths, reporter, signal } = this;
    this.writeState();
    if (leftovers) await this.cleanUp();
    const secrets = await this.ensureSecrets();
    const ports = await this.choosePorts();
    signal.throwIfAborted();
    await reporter.step("build", async () => ({
      value: undefined,
      detail: await build(paths, { force: false, signal }),
    }));
    signal.throwIfAborted();
    const { infra, wiring } = await this.startInfra(ports, secrets);
    signal.throwIfAborted();
    await this.migrate(infra, wiring, secrets);
    await this.startServices(wiring);
    const seeded = await this.seed(infra, wiring, secrets);
    await this.firstRequest(wiring, seeded, startedMs);
    this.writeRunFile = () => writePrivateJson(paths.runFile, this.runFile(wiring, infra, secrets, seeded));
    this.phase = "ready";
    this.writeState();
    if (this.card !== undefined) reporter.tell({ kind: "ready", card: this.card });
  }

  detach(): void {
    this.detached = true;
    this.writeState();
  }

  stopping(): void {
    this.phase = "stopping";
    rmSync(this.paths.runFile, { force: true });
    this.writeState();
  }

  private async cleanUp(): Promise<void> {
    const names = await stopLeftovers(this.paths);
    if (names.length > 0)
      this.reporter.note(`an earlier run was killed and left ${names.join(", ")} running: stopped now`);
  }

  private async ensureSecrets(): Promise<EnsuredSecrets> {
    return this.reporter.step("secrets", () => {
      const requests = [
        ...databaseSecrets(),
        ...serverUserSecrets(),
        ...services.flatMap((definition) => definition.secrets),
        { name: "demo.userPassword", form: "password" as const },
        { name: "demo.operatorPassword", form: "password" as const },
      ];
      const value = ensureSecrets(this.paths, requests);
      const made = value.made === 0 ? "" : ` (${String(value.made)} generated, mode 0600)`;
      return Promise.resolve({ value, detail: `.codex/config.json, ${String(value.made + value.kept)} values${made}` });
    });
  }

  private async choosePorts(): Promise<ChosenPorts> {
    return this.reporter.step("ports", async () => {
      const wishes = portWishes(this.options.environment.given);
      const value = await choosePorts(wishes, rememberedPorts(this.paths.ports), this.options.portBase);
      rememberPorts(this.paths.ports, wishes, value);
      const detail = `dashboard ${String(value.of(`${edgeName}.http`))}, gateway ${String(value.of(`${gatewayName}.http`))}, ${String(wishes.length - 2)} internal ones`;
      return { value, detail, extra: value.notes };
    });
  }

  private async startInfra(ports: ChosenPorts, secrets: EnsuredSecrets): Promise<{ infra: Infra; wiring: Wiring }> {
    const { given } = this.options.environment;
    return this.reporter.step("infra", async () => {
      const infra = await startInfra({
        dataDir: this.paths.data,
        persistent: true,
        given,
        allowContainers: true,
        users: serverUsers((server, name) => secrets.get(serverUserSecretName(server, name))),
        log: (line) => this.reporter.note(line),
        ports: {
          ...(given.postgresUrl === undefined ? { postgres: ports.of("postgres") } : {}),
          ...(given.natsUrl === undefined ? { nats: ports.of("nats") } : {}),
          ...(given.redisUrl === undefined ? { redis: ports.of("redis") } : {}),
        },
      });
      this.scope.defer("infra", () => infra.stop());
      const adminUrl = await ensureDatabase(infra.postgresUrl, given.postgresUrl !== undefined);
      const wiring = wire({ paths: this.paths, ports, infra, given, adminUrl, secret: secrets.get });
      return { value: { infra: { ...infra, postgresUrl: adminUrl }, wiring }, detail: describeInfra(infra, given) };
    });
  }

  private async migrate(infra: Infra, wiring: Wiring, secrets: EnsuredSecrets): Promise<void> {
    await this.reporter.step("migrate", async () => {
      await provisionSchemas(infra.postgresUrl, secrets.get);
      const owners = services.filter((definition) => definition.schema !== undefined);
      for (const definition of owners) {
        await this.tool(
          definition.name,
          `The migration of ${definition.title}`,
          "dist/migrate.js",
          [],
          migrateTimeoutMs,
          wiring,
          "npm run reset starts with an empty database.",
        );
      }
      const prices = path.join(import.meta.dirname, "demo-prices.json");
      await this.tool(
        "billing-ledger",
        "Importing the demo prices",
        "dist/import-prices.js",
        [prices],
        toolTimeoutMs,
        wiring,
      );
      const bus = await connectBus(
        { servers: infra.natsUrl.split(","), name: "launcher" },
        { logger: quiet, source: "launcher" },
      );
      try {
        await bus.ensureTopology();
      } finally {
        await bus.drain();
      }
      return {
        value: undefined,
        detail: `${String(owners.length)} schemas with their roles, demo prices, NATS streams`,
      };
    });
  }

  private async startServices(wiring: Wiring): Promise<void> {
    await this.reporter.step("services", async () => {
      const watchdog = startWatchdog([]);
      this.scope.defer("watchdog", () => watchdog.release());
      const fleet = new Fleet({
        paths: this.paths,
        wiring,
        watchdog,
        records: new ProcessRecords(this.paths.processes),
        onChange: () => this.writeState(),
        note: (text) => this.reporter.note(text),
      });
      this.fleet = fleet;
      this.scope.defer("services", () => fleet.stop());
      await fleet.start(this.signal);
      return { value: undefined, detail: services.map(({ title }) => title).join(", ") };
    });
  }

  private async seed(infra: Infra, wiring: Wiring, secrets: EnsuredSecrets): Promise<Seeded> {
    return this.reporter.step("seed", async () => {
      const value = await seed({
        origin: wiring.publicOrigin,
        natsUrl: infra.natsUrl,
        demoUpstreamUrl: wiring.url(demoUpstreamName),
        stateFile: this.paths.seedState,
        userPassword: secrets.get("demo.userPassword"),
        operatorPassword: secrets.get("demo.operatorPassword"),
        grantRole: (email) =>
          this.tool(
            "auth",
            "Granting the operator's role",
            "dist/grant-role.js",
            ["--email", email, "--role", "admin"],
            toolTimeoutMs,
            wiring,
          ),
        signal: this.signal,
      });
      return { value, detail: value.detail };
    });
  }

  private async firstRequest(wiring: Wiring, seeded: Seeded, startedMs: number): Promise<void> {
    const first = await this.reporter.step("first request", async () => {
      const value = await sendFirstRequest({
        origin: wiring.publicOrigin,
        apiKey: seeded.apiKey,
        model: firstModel,
        prompt: firstPrompt,
        user: seeded.user,
        signal: this.signal,
      });
      const detail = `${value.model}, ${String(value.inputTokens)} in + ${String(value.outputTokens)} out, ${value.charged} tokens`;
      return {
        value,
        detail,
        extra: [
          `«${value.answer.replaceAll(/\s+/g, " ").slice(0, 300)}»`,
          `balance ${value.before} → ${value.after}, ledger entry ${value.requestId} ✔`,
        ],
      };
    });
    this.card = {
      dashboardUrl: wiring.publicOrigin,
      apiUrl: `${wiring.publicOrigin}/v1`,
      gatewayUrl: localhostUrl(wiring, gatewayName),
      userEmail: demoUserEmail,
      operatorEmail: demoOperatorEmail,
      keyPrefix: seeded.keyPrefix,
      firstRequest: first,
      readyInMs: performance.now() - startedMs,
    };
  }

  /** A one-shot program of a service, with the service's environment and its owner's database URL. */
  private async tool(
    name: string,
    what: string,
    entry: string,
    args: readonly string[],
    timeoutMs: number,
    wiring: Wiring,
    hint?: string,
  ): Promise<void> {
    const definition = serviceNamed(name);
    const owner =
      definition.schema === undefined ? {} : { DATABASE_OWNER_URL: wiring.databaseUrl(definition.schema, "owner") };
    try {
      await runTool(what, {
        command: process.execPath,
        args: ["--enable-source-maps", programOf(this.paths.root, definition, entry), ...args],
        cwd: path.join(this.paths.root, definition.folder),
        env: { ...passedEnvironment(), ...definition.env(wiring), ...owner },
        timeoutMs,
        signal: this.signal,
      });
    } catch (error) {
      if (hint === undefined || !(error instanceof Problem)) throw error;
      throw new Problem(error.message, { hint, lines: error.lines, cause: error });
    }
  }

  private runFile(wiring: Wiring, infra: Infra, secrets: EnsuredSecrets, seeded: Seeded): RunFile {
    const states = this.fleet?.states() ?? [];
    return {
      gatewayUrl: localhostUrl(wiring, gatewayName),
      dashboardUrl: wiring.publicOrigin,
      apiKey: seeded.apiKey,
      user: { email: demoUserEmail, password: secrets.get("demo.userPassword"), accountId: seeded.accountId },
      operator: {
        email: demoOperatorEmail,
        password: secrets.get("demo.operatorPassword"),
        accountId: seeded.operatorAccountId,
        totpSecret: seeded.operatorTotpSecret,
      },
      services: Object.fromEntries(
        states.map(({ name, url, pid, readyUrl }) => {
          const admin = readyUrl.endsWith("/readyz") ? { adminUrl: readyUrl.slice(0, -"/readyz".length) } : {};
          return [name, { url, ...admin, pid: pid ?? 0 }];
        }),
      ),
      infra: { postgresUrl: infra.postgresUrl, natsUrl: infra.natsUrl, redisUrl: infra.redisUrl },
      mailbox: `${wiring.publicOrigin}/mailbox`,
    };
  }

  private writeState(): void {
    const state: SupervisorState = {
      phase: this.phase,
      pid: process.pid,
      startedAt: this.startedAt.toISOString(),
      detached: this.detached,
      services: this.fleet?.states() ?? [],
      ...(this.card === undefined ? {} : { card: this.card }),
    };
    writePrivateJson(this.paths.supervisorState, state);
    // Again at each change: a service that was started anew has another pid.
    if (this.phase === "ready") this.writeRunFile();
  }
}

const quiet = { debug: () => undefined, info: () => undefined, warn: () => undefined, error: () => undefined };

function localhostUrl(wiring: Wiring, name: string): string {
  return `http://localhost:${String(wiring.port(`${name}.http`))}`;
}

function describeInfra(infra: Infra, given: LauncherEnvironment["given"]): string {
  const origin = (url: string | undefined): string => (url === undefined ? "" : " (given)");
  const how = infra.kind === "testcontainers" ? ", in containers" : "";
  return `Postgres${origin(given.postgresUrl)}, NATS${origin(given.natsUrl)}, Redis${origin(given.redisUrl)}${how}; data in .codex/data`;
}
