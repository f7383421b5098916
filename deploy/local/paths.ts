import path from "node:path";

/** Where local mode keeps things, for a clone at `root`. All absolute; everything below `.codex` may be deleted when nothing runs. */
export interface Paths {
  readonly root: string;
  readonly state: string;
  readonly data: string;
  readonly logs: string;
  readonly stamps: string;
  /** Secrets of this clone; made once, never overwritten. */
  readonly config: string;
  /** Ports of the last start. */
  readonly ports: string;
  /** Which config.json the data was made with. */
  readonly dataOwner: string;
  /** The one process that owns a running system. */
  readonly lock: string;
  /** What that process says of itself; for status and for the second start. */
  readonly supervisorState: string;
  /** Every process it started, to be found again after a kill -9. */
  readonly processes: string;
  /** Ids and key of the demo profile; survives a stop, not a reset. */
  readonly seedState: string;
  /** For scripts; exists while the system is ready. */
  readonly runFile: string;
  readonly supervisorLog: string;
}

export function pathsOf(root: string): Paths {
  const state = path.join(root, ".codex");
  const data = path.join(state, "data");
  return {
    root,
    state,
    data,
    logs: path.join(state, "logs"),
    stamps: path.join(state, "stamps"),
    config: path.join(state, "config.json"),
    ports: path.join(data, "ports.json"),
    dataOwner: path.join(data, "config-id"),
    lock: path.join(state, "supervisor.lock"),
    supervisorState: path.join(state, "supervisor.json"),
    processes: path.join(state, "processes.json"),
    seedState: path.join(state, "run-state.json"),
    runFile: path.join(state, "run.json"),
    supervisorLog: path.join(state, "logs/supervisor.log"),
  };
}
