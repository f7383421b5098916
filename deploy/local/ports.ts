import { execFile } from "node:child_process";
import net from "node:net";
import { z } from "zod";
import { readJsonIfWhole, writePrivateJson } from "./files.ts";
import { Problem } from "./problem.ts";

/**
 * Ports of local mode. All lie below the range from which systems take ports for outgoing connections (32768 on Linux,
 * 49152 on macOS), so a connection of some other program cannot take one between two starts.
 */

export interface PortWish {
  readonly name: string;
  readonly preferred: number;
  /** People type this one: a change is told. */
  readonly shown?: string;
  /** Something stored names this port, so once remembered it cannot change. */
  readonly keep?: boolean;
}

export interface ChosenPorts {
  of(name: string): number;
  /** One sentence for each shown port that is not the preferred one. */
  readonly notes: readonly string[];
}

export interface PortDeps {
  readonly isFree: (port: number) => Promise<boolean>;
  readonly holder: (port: number) => Promise<string | undefined>;
}

/** With --port-base N the first preferred port moves to N and the others keep their distance. */
const portBaseDefault = 8080;
const triesMax = 200;
const portMap = z.record(z.string(), z.number().int().min(1).max(65_535));

/** What was chosen last time; empty for a new clone. */
export function rememberedPorts(file: string): Readonly<Record<string, number>> {
  return readJsonIfWhole(file, portMap) ?? {};
}

/**
 * The remembered port where it is still free, else the preferred one, else the next free one above it. With `base`, the
 * port is a demand: a {@link Problem} names the first that is taken.
 */
export async function choosePorts(
  wishes: readonly PortWish[],
  remembered: Readonly<Record<string, number>>,
  base: number | undefined,
  deps: PortDeps = { isFree: isPortFree, holder: portHolder },
): Promise<ChosenPorts> {
  const chosen = new Map<string, number>();
  const notes: string[] = [];
  const taken = new Set<number>();
  const free = async (port: number): Promise<boolean> =>
    !taken.has(port) && port <= 65_535 && (await deps.isFree(port));
  for (const wish of wishes) {
    const known = remembered[wish.name];
    const kept = wish.keep === true && known !== undefined;
    const wanted = base === undefined || kept ? (known ?? wish.preferred) : wish.preferred - portBaseDefault + base;
    let port = wanted;
    if (!(await free(port))) {
      if (kept) throw await keptButOccupied(port, wish, deps);
      if (base !== undefined) throw await occupied(port, wish, deps);
      port = await nextFree(wish.preferred, free);
      if (wish.shown !== undefined)
        notes.push(`${wish.shown} is on port ${String(port)}: ${String(wanted)} ${await heldBy(wanted, deps)}`);
    }
    taken.add(port);
    chosen.set(wish.name, port);
  }
  const of = (name: string): number => {
    const port = chosen.get(name);
    if (port === undefined) throw new Error(`no port named ${name} was asked for`);
    return port;
  };
  return { of, notes };
}

export function rememberPorts(file: string, wishes: readonly PortWish[], ports: ChosenPorts): void {
  writePrivateJson(file, Object.fromEntries(wishes.map((wish) => [wish.name, ports.of(wish.name)])));
}

async function nextFree(from: number, free: (port: number) => Promise<boolean>): Promise<number> {
  for (let port = from; port < from + triesMax; port += 1) {
    if (await free(port)) return port;
  }
  throw new Problem(`No free port from ${String(from)} to ${String(from + triesMax - 1)}.`, {
    hint: "Choose another range with: npm start -- --port-base 18000",
  });
}

async function occupied(port: number, wish: PortWish, deps: PortDeps): Promise<Problem> {
  return new Problem(`Port ${String(port)}, wanted for ${wish.name}, ${await heldBy(port, deps)}.`, {
    hint: "Stop that program, choose another --port-base, or leave the option out to take free ports.",
  });
}

async function keptButOccupied(port: number, wish: PortWish, deps: PortDeps): Promise<Problem> {
  return new Problem(
    `Port ${String(port)}, at which ${wish.name} is registered in the data, ${await heldBy(port, deps)}.`,
    {
      hint: "Stop that program and start again, or begin anew on other ports with: npm run reset",
    },
  );
}

async function heldBy(port: number, deps: PortDeps): Promise<string> {
  const holder = await deps.holder(port);
  return holder === undefined ? "is in use by another program" : `is in use by ${holder}`;
}

/** Nothing listens on the port, on neither loopback address: a browser that is told "localhost" may take either. */
export async function isPortFree(port: number): Promise<boolean> {
  for (const host of ["127.0.0.1", "::1"]) {
    if (await connects(port, host)) return false;
  }
  return (await binds(port, "127.0.0.1")) !== "taken" && (await binds(port, "::1")) !== "taken";
}

function connects(port: number, host: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = net.connect({ port, host });
    const end = (connected: boolean): void => {
      socket.destroy();
      resolve(connected);
    };
    socket.setTimeout(500, () => end(false));
    socket.once("connect", () => end(true)).once("error", () => end(false));
  });
}

function binds(port: number, host: string): Promise<"free" | "taken" | "no such address"> {
  return new Promise((resolve) => {
    const server = net.createServer();
    server.once("error", (error: NodeJS.ErrnoException) =>
      resolve(error.code === "EADDRINUSE" || error.code === "EACCES" ? "taken" : "no such address"),
    );
    server.listen({ port, host, exclusive: true }, () => server.close(() => resolve("free")));
  });
}

/** Name and pid of the program that listens, where the system tells us: "nginx (pid 42)". */
async function portHolder(port: number): Promise<string | undefined> {
  const socketList = await ask("ss", ["-Hltnp", `sport = :${String(port)}`]);
  const seen = /users:\(\("([^"]+)",pid=(\d+)/.exec(socketList);
  if (seen?.[1] !== undefined && seen[2] !== undefined) return `${seen[1]} (pid ${seen[2]})`;
  const open = await ask("lsof", ["-nP", `-iTCP:${String(port)}`, "-sTCP:LISTEN", "-Fpc"]);
  const pid = /^p(\d+)/m.exec(open)?.[1];
  const name = /^c(.+)/m.exec(open)?.[1];
  return pid === undefined || name === undefined ? undefined : `${name} (pid ${pid})`;
}

function ask(command: string, args: readonly string[]): Promise<string> {
  return new Promise((resolve) => {
    execFile(command, [...args], { timeout: 2_000 }, (error, stdout) => resolve(error === null ? stdout : ""));
  });
}
