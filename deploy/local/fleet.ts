import type { Watchdog } from "../../libs/testkit/src/watchdog.ts";
import { passedEnvironment } from "./config.ts";
import { defaultBackOffMs, ManagedProcess, type ProcessState } from "./managed-process.ts";
import type { ProcessRecords } from "./owned-processes.ts";
import path from "node:path";
import type { Paths } from "./paths.ts";
import type { SupervisorState } from "./protocol.ts";
import { programOf, services, type ServiceDef, type Wiring } from "./services.ts";

export interface FleetDeps {
  readonly paths: Paths;
  readonly wiring: Wiring;
  readonly watchdog: Watchdog;
  readonly records: ProcessRecords;
  readonly onChange: () => void;
  readonly note: (text: string) => void;
}

const readyTimeoutMs = 45_000;
/** A service forces its own exit at 25 s. */
const stopTimeoutMs = 27_000;
const provenMs = 60_000;

/** All programs of the table: started wave by wave, stopped in the opposite order. */
export class Fleet {
  private readonly deps: FleetDeps;
  private readonly started: { readonly definition: ServiceDef; readonly process: ManagedProcess }[] = [];

  constructor(deps: FleetDeps) {
    this.deps = deps;
  }

  /** Throws the first failure, or the reason of an abort; what runs then is stopped by {@link stop}. */
  async start(signal: AbortSignal): Promise<void> {
    // A program that is not ready yet may take its whole deadline; whoever pressed Ctrl-C does not want to wait for it.
    const abort = (): void => void this.stop();
    signal.addEventListener("abort", abort, { once: true });
    try {
      for (const wave of [1, 2, 3] as const) {
        signal.throwIfAborted();
        const members = services
          .filter((definition) => definition.wave === wave)
          .map((definition) => this.add(definition));
        await Promise.all(members.map((member) => member.start()));
      }
    } catch (error) {
      signal.throwIfAborted();
      throw error;
    } finally {
      signal.removeEventListener("abort", abort);
    }
  }

  async stop(): Promise<void> {
    for (const wave of [3, 2, 1] as const) {
      const members = this.started.filter(({ definition }) => definition.wave === wave);
      await Promise.all(members.map(({ process }) => process.stop()));
    }
  }

  states(): SupervisorState["services"] {
    return this.started.map(({ definition, process }) => {
      const { name, phase, pid, restarts, startedAt, lastExit } = process.state();
      return {
        name,
        title: definition.title,
        phase,
        restarts,
        url: this.deps.wiring.url(name),
        readyUrl: readyUrlOf(definition, this.deps.wiring),
        ...(pid === undefined ? {} : { pid }),
        ...(startedAt === undefined ? {} : { startedAt }),
        ...(lastExit === undefined ? {} : { lastExit }),
      };
    });
  }

  private add(definition: ServiceDef): ManagedProcess {
    const { paths, wiring, watchdog, records, onChange, note } = this.deps;
    const process = new ManagedProcess(
      {
        name: definition.name,
        command: globalThis.process.execPath,
        args: ["--enable-source-maps", programOf(paths.root, definition)],
        cwd: path.join(paths.root, definition.folder),
        env: { ...passedEnvironment(), ...definition.env(wiring) },
        logFile: path.join(paths.logs, `${definition.name}.log`),
        readyUrl: readyUrlOf(definition, wiring),
        readyTimeoutMs,
        stopTimeoutMs,
        backOffMs: defaultBackOffMs,
        provenMs,
      },
      { watchdog, records, onChange, onCrash: (state, restartInMs) => note(crashLine(state, restartInMs)) },
    );
    this.started.push({ definition, process });
    return process;
  }
}

function readyUrlOf(definition: ServiceDef, wiring: Wiring): string {
  const base =
    definition.adminPort === undefined
      ? wiring.url(definition.name)
      : `http://127.0.0.1:${String(wiring.port(`${definition.name}.admin`))}`;
  return `${base}${definition.readyPath}`;
}

function crashLine(state: ProcessState, restartInMs: number): string {
  const log = `.codex/logs/${state.name}.log`;
  return `${state.name} ended by itself (${state.lastExit ?? "no reason"}); starting it again in ${String(restartInMs / 1000)} s, its log is ${log}`;
}
