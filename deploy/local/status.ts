import { readJsonIfWhole } from "./files.ts";
import { lockOwner } from "./lock.ts";
import { answers } from "./managed-process.ts";
import type { Paths } from "./paths.ts";
import { supervisorState } from "./protocol.ts";
import { formatAge } from "./render.ts";

/** What LSB init scripts answer for "not running". */
const exitNotRunning = 3;

interface StatusReport {
  readonly running: boolean;
  readonly phase: "stopped" | "starting" | "ready" | "stopping";
  readonly pid: number | null;
  readonly startedAt: string | null;
  readonly dashboardUrl: string | null;
  readonly gatewayUrl: string | null;
  /** `ready` is asked of the service now, not remembered. */
  readonly services: readonly {
    readonly name: string;
    readonly url: string;
    readonly pid: number | null;
    readonly ready: boolean;
    readonly restarts: number;
    readonly startedAt: string | null;
    readonly lastExit: string | null;
  }[];
}

async function readStatus(paths: Paths): Promise<StatusReport> {
  const owner = lockOwner(paths.lock);
  const state = readJsonIfWhole(paths.supervisorState, supervisorState);
  if (owner === undefined || state === undefined) {
    return {
      running: false,
      phase: "stopped",
      pid: null,
      startedAt: null,
      dashboardUrl: null,
      gatewayUrl: null,
      services: [],
    };
  }
  const services = state.services.map(async (service) => ({
    name: service.name,
    url: service.url,
    pid: service.pid ?? null,
    ready: service.pid !== undefined && (await answers(service.readyUrl)),
    restarts: service.restarts,
    startedAt: service.startedAt ?? null,
    lastExit: service.lastExit ?? null,
  }));
  return {
    running: true,
    phase: state.phase,
    pid: owner.pid,
    startedAt: state.startedAt,
    dashboardUrl: state.card?.dashboardUrl ?? null,
    gatewayUrl: state.card?.gatewayUrl ?? null,
    services: await Promise.all(services),
  };
}

/** Prints the state; exit code 0 when ready, 3 when nothing runs, 1 when something that runs is not ready. */
export async function status(paths: Paths, json: boolean): Promise<number> {
  const report = await readStatus(paths);
  process.stdout.write(json ? `${JSON.stringify(report, null, 2)}\n` : `${describe(report, Date.now()).join("\n")}\n`);
  if (!report.running) return exitNotRunning;
  return report.phase === "ready" && report.services.every(({ ready }) => ready) ? 0 : 1;
}

function describe(report: StatusReport, nowMs: number): readonly string[] {
  if (!report.running) return ["Not running. npm start starts it."];
  const age = (iso: string | null): string => (iso === null ? "" : formatAge(nowMs - Date.parse(iso)));
  const width = Math.max(...report.services.map(({ name }) => name.length), 0);
  return [
    `${report.phase}, up ${age(report.startedAt)}, supervisor pid ${String(report.pid)}`,
    ...(report.dashboardUrl === null ? [] : [`dashboard ${report.dashboardUrl}   gateway ${report.gatewayUrl ?? ""}`]),
    ...report.services.map((service) => {
      const mark = service.ready ? "●" : "○";
      const restarts =
        service.restarts === 0 ? "" : `  ${String(service.restarts)} restarts, last end: ${service.lastExit ?? "?"}`;
      return `  ${mark} ${service.name.padEnd(width)}  ${service.url.padEnd(22)}  pid ${String(service.pid ?? "-").padEnd(7)}  ${age(service.startedAt)}${restarts}`;
    }),
  ];
}
