import { chmodSync, existsSync, mkdtempSync, rmSync, symlinkSync, writeFileSync, mkdirSync } from "node:fs";
import http from "node:http";
import os from "node:os";
import path from "node:path";
import { afterAll, describe, expect, test } from "@jest/globals";
import { startInfra } from "@codex/testkit";
import { startContainers } from "../src/containers.ts";
import { detectEngine } from "../src/engine.ts";
import { claimDataFolder, infraDataFolders, prepareDataFolder } from "../src/data-folder.ts";
import { processIdentity } from "../src/process-identity.ts";
import { findNats, findPostgres, findRedis } from "../src/programs.ts";
import { query, withRedis } from "./_util.ts";

const root = mkdtempSync(path.join(os.tmpdir(), "codex-programs-"));
afterAll(() => {
  rmSync(root, { recursive: true, force: true });
});
const log = (): void => undefined;

describe("container engine", () => {
  test("given a socket where an engine answers, when detected, then it is available", async () => {
    const socket = path.join(root, "docker.sock");
    const server = http.createServer((request, response) => {
      response.writeHead(request.url === "/_ping" ? 200 : 404).end("OK");
    });
    await new Promise<void>((resolve) => server.listen(socket, resolve));
    try {
      expect(await detectEngine({ dockerHost: undefined, sockets: [socket] })).toMatchObject({ available: true });
      expect(await detectEngine({ dockerHost: `unix://${socket}`, sockets: [] })).toMatchObject({ available: true });
    } finally {
      server.close();
    }
  });

  test("given no socket, a dead socket, or a wrong address, when detected, then the reason says which", async () => {
    const dead = path.join(root, "dead.sock");
    writeFileSync(dead, "");
    expect(await detectEngine({ dockerHost: undefined, sockets: [path.join(root, "none.sock")] })).toEqual({
      available: false,
      reason: `No container engine: there is no socket at ${path.join(root, "none.sock")}.`,
    });
    expect((await detectEngine({ dockerHost: undefined, sockets: [dead] })).reason).toContain(`no answer at ${dead}`);
    expect((await detectEngine({ dockerHost: "ssh://far", sockets: [] })).reason).toContain(
      "is not a unix:// or tcp://",
    );
  });

  test("given this machine, then the containers run where an engine answers, and elsewhere the log says that they did not", async () => {
    const engine = await detectEngine();
    const dataDir = path.join(root, "containers");
    if (engine.available) {
      const containers = await startContainers({
        dataDir,
        wanted: ["postgres", "nats", "redis"],
        ports: {},
        persistent: false,
      });
      try {
        expect(await query(containers.urls.postgresUrl ?? "", "select 1 as one")).toEqual([{ one: 1 }]);
        expect(await withRedis(containers.urls.redisUrl ?? "", (redis) => redis.ping())).toBe("PONG");
        expect(containers.urls.natsUrl).toMatch(/^nats:/);
      } finally {
        await containers.stop();
      }
      return;
    }
    process.stderr.write(`\nNOT RUN: the container path of @codex/testkit. ${engine.reason}\n`);
    const lines: string[] = [];
    const infra = await startInfra({
      dataDir,
      persistent: false,
      allowContainers: true,
      log: (line) => lines.push(line),
    });
    await infra.stop();
    expect(infra.kind).toBe("child");
    expect(infraDataFolders(dataDir).filter((folder) => existsSync(folder))).toEqual([]);
    expect(lines).toContain(`${engine.reason} Using programs of this machine.`);
    await expect(startContainers({ dataDir, wanted: ["redis"], ports: {}, persistent: false })).rejects.toThrow(
      "container runtime",
    );
  }, 300_000);
});

describe("programs", () => {
  test("given the package of Postgres, when searched, then it is 18 and comes before a local one", async () => {
    expect(await findPostgres({ log })).toMatchObject({ kind: "embedded", major: 18 });
  });

  test("given only redis-check-rdb, when searched and started, then it runs as a Redis server", async () => {
    const found = await findRedis({ log });
    const folder = path.join(root, "only-check");
    mkdirSync(folder);
    symlinkSync(found.command, path.join(folder, "redis-check-rdb"));
    const program = await findRedis({ log, folders: [folder] });
    expect(program).toMatchObject({ command: path.join(folder, "redis-check-rdb"), argv0: "redis-server" });
    const { startRedisServer, redisUrl } = await import("../src/redis-server.ts");
    const { freePort } = await import("../src/ports.ts");
    const { startWatchdog } = await import("../src/watchdog.ts");
    const dataDir = path.join(root, "redis");
    prepareDataFolder(dataDir);
    const watchdog = startWatchdog([]);
    const port = await freePort();
    const server = await startRedisServer(
      { program, dataDir, port, password: "ab12", durable: false },
      { watchdog, log },
    );
    expect(await withRedis(redisUrl(port, "ab12"), (redis) => redis.ping())).toBe("PONG");
    await server.stop();
    watchdog.release();
  });

  test("given a program that does not run, when searched, then the error holds what it said", async () => {
    const folder = path.join(root, "broken");
    mkdirSync(folder);
    writeFileSync(path.join(folder, "nats-server"), "#!/bin/sh\necho cannot load libfoo >&2\nexit 3\n");
    chmodSync(path.join(folder, "nats-server"), 0o755);
    await expect(findNats({ log, folders: [folder] })).rejects.toThrow("cannot load libfoo");
  });
});

describe("process identity", () => {
  test("given this process and one that cannot be, when asked, then only the living has an identity", () => {
    expect(processIdentity(process.pid)).toMatch(/\S/);
    expect(processIdentity(process.pid)).toBe(processIdentity(process.pid));
    expect(processIdentity(4_194_305)).toBeUndefined();
  });

  test("given a folder whose owner's number belongs to another process now, when claimed, then it is free", () => {
    const dataDir = path.join(root, "claimed");
    prepareDataFolder(dataDir);
    writeFileSync(path.join(dataDir, "owner.json"), JSON.stringify({ pid: process.pid, identity: "an older process" }));
    const release = claimDataFolder(dataDir);
    expect(() => claimDataFolder(dataDir)).toThrow("is in use by process");
    release();
    expect(existsSync(path.join(dataDir, "owner.json"))).toBe(false);
  });
});
