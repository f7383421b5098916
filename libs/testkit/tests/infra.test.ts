import { readFileSync, renameSync, rmSync, statSync, writeFileSync, existsSync, mkdirSync } from "node:fs";
import { spawn } from "node:child_process";
import net from "node:net";
import path from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "@jest/globals";
import { eventually, freePort, processIdentity, startInfra, type Infra } from "@codex/testkit";
import { query, serverPids, startOwner, temporaryFolder, withRedis } from "./_util.ts";

/** Own servers in local mode and in tests, started for real from this machine's programs. */

const log: string[] = [];
let folder: ReturnType<typeof temporaryFolder>;
const running: Infra[] = [];

const start = async (more: Partial<Parameters<typeof startInfra>[0]> = {}): Promise<Infra> => {
  const infra = await startInfra({ dataDir: folder.dataDir, persistent: true, log: (line) => log.push(line), ...more });
  running.push(infra);
  return infra;
};

const gone = (pids: readonly number[]): Promise<true> =>
  eventually(() => pids.every((pid) => processIdentity(pid) === undefined), {
    timeoutMs: 15_000,
    what: "the end of all servers",
  });

beforeEach(() => {
  log.length = 0;
  folder = temporaryFolder();
});

afterEach(async () => {
  await Promise.all(running.splice(0).map((infra) => infra.stop()));
  folder.remove();
});

describe("own child servers", () => {
  test("given an empty folder, when started, then all three answer on 127.0.0.1 and not on default ports", async () => {
    const infra = await start();
    expect(infra.kind).toBe("child");
    const settings = await query<{ name: string; setting: string }>(
      infra.postgresUrl,
      `select name, setting from pg_settings where name in
       ('listen_addresses', 'unix_socket_directories', 'max_connections', 'fsync', 'synchronous_commit', 'server_encoding')`,
    );
    expect(Object.fromEntries(settings.map((row) => [row.name, row.setting]))).toEqual({
      listen_addresses: "127.0.0.1",
      unix_socket_directories: "",
      max_connections: "200",
      fsync: "on",
      synchronous_commit: "on",
      server_encoding: "UTF8",
    });
    expect(await withRedis(infra.redisUrl, (redis) => redis.set("key", "value"))).toBe("OK");
    const ports = [infra.postgresUrl, infra.natsUrl, infra.redisUrl].map((url) => Number(new URL(url).port));
    expect(ports).not.toContain(5432);
    expect(ports).not.toContain(4222);
    expect(ports).not.toContain(6379);
    expect(serverPids(folder.dataDir)).toHaveLength(3);
    expect(statSync(path.join(folder.dataDir, "secrets.json")).mode & 0o777).toBe(0o600);
  });

  test("given the servers, when asked without their passwords, then they refuse", async () => {
    const infra = await start();
    const wrong = new URL(infra.postgresUrl);
    wrong.password = "wrong";
    await expect(query(wrong.href, "select 1")).rejects.toThrow("password authentication failed");
    const open = new URL(infra.redisUrl);
    open.password = "";
    await expect(withRedis(open.href, (redis) => redis.get("key"))).rejects.toThrow("NOAUTH");
    const { port } = new URL(infra.natsUrl);
    const heard = await talk(Number(port), 'CONNECT {"verbose":false,"user":"codex","pass":"wrong"}\r\nPING\r\n');
    expect(heard).toContain("Authorization Violation");
  });

  test("given tests (not persistent), when started and stopped, then fsync is off and the folder is gone", async () => {
    const infra = await start({ persistent: false });
    const [row] = await query<{ fsync: string }>(infra.postgresUrl, "select current_setting('fsync') as fsync");
    expect(row?.fsync).toBe("off");
    const pids = serverPids(folder.dataDir);
    await infra.stop();
    await gone(pids);
    expect(existsSync(folder.dataDir)).toBe(false);
  });

  test("given data, when stopped and started again, then the data and the passwords are the same", async () => {
    const first = await start();
    await query(first.postgresUrl, "create table kept (value text)");
    await query(first.postgresUrl, "insert into kept values ('kept')");
    await withRedis(first.redisUrl, (redis) => redis.set("kept", "kept"));
    const pids = serverPids(folder.dataDir);
    await first.stop();
    await gone(pids);
    expect(serverPids(folder.dataDir)).toEqual([]);

    const second = await start();
    expect(await query(second.postgresUrl, "select value from kept")).toEqual([{ value: "kept" }]);
    expect(await withRedis(second.redisUrl, (redis) => redis.get("kept"))).toBe("kept");
    expect(new URL(second.postgresUrl).password).toBe(new URL(first.postgresUrl).password);
  });

  test("given a folder in use, when a second start wants it, then it is told which process has it", async () => {
    await start();
    await expect(start()).rejects.toThrow(`is in use by process ${String(process.pid)}`);
  });
});

describe("ports", () => {
  test.each(["postgres", "nats", "redis"] as const)(
    "given a busy port for %s, when started, then the sentence names the port and nothing keeps running",
    async (name) => {
      const port = await freePort();
      const squatter = net.createServer().listen(port, "127.0.0.1");
      await new Promise((resolve) => squatter.once("listening", resolve));
      try {
        await expect(start({ ports: { [name]: port } })).rejects.toThrow(
          new RegExp(`Port ${String(port)} for (Postgres|NATS|Redis) is in use by another program`),
        );
        expect(serverPids(folder.dataDir)).toEqual([]);
      } finally {
        squatter.close();
      }
      const infra = await start({ ports: { [name]: port } });
      expect(new URL(infra[`${name}Url`]).port).toBe(String(port));
    },
  );
});

describe("after a crash", () => {
  test("given data, when the owner is killed with -9, then its servers end, and the next start has the data", async () => {
    const owner = await startOwner({ dataDir: folder.dataDir, persistent: true });
    await query(owner.postgresUrl, "create table kept (value text)");
    const pids = serverPids(folder.dataDir);
    expect(pids).toHaveLength(3);
    await owner.kill();
    await gone(pids);
    // Stopped softly, with its last checkpoint written, not by the -9 that follows when that takes too long.
    const postgresLog = readFileSync(path.join(folder.dataDir, "logs", "postgres.log"), "utf8");
    expect(postgresLog).toContain("database system is shut down");
    const infra = await start();
    expect(await query(infra.postgresUrl, "select * from kept")).toEqual([]);
  });

  test("given a test run, when the owner is killed with -9, then the servers end and the folder goes", async () => {
    const owner = await startOwner({ dataDir: folder.dataDir, persistent: false });
    const pids = serverPids(folder.dataDir);
    expect(pids).toHaveLength(3);
    await owner.kill();
    await gone(pids);
    await eventually(() => !existsSync(folder.dataDir), { timeoutMs: 15_000, what: "the removal of the folder" });
  });

  test("given all was killed with -9, when started, then stale pid files do not matter and the data is there", async () => {
    const owner = await startOwner({ dataDir: folder.dataDir, persistent: true });
    await query(owner.postgresUrl, "create table kept (value text)");
    const pids = serverPids(folder.dataDir);
    for (const pid of pids) process.kill(pid, "SIGKILL");
    await owner.kill();
    await gone(pids);
    // The numbers now belong to this very process, which is alive and must survive.
    for (const name of ["postgres", "nats", "redis"]) {
      writeFileSync(
        path.join(folder.dataDir, "pids", `${name}.json`),
        JSON.stringify({ pid: process.pid, identity: "older" }),
      );
    }
    // Postgres itself only minds a living process of its own user that is not its parent, so make one.
    const { uid, gid } = statSync(path.join(folder.dataDir, "postgres"));
    const stranger = spawn("sleep", ["60"], { uid, gid, cwd: "/", stdio: "ignore" });
    try {
      const lock = path.join(folder.dataDir, "postgres", "postmaster.pid");
      const rest = readFileSync(lock, "utf8").split("\n").slice(1);
      writeFileSync(lock, [String(stranger.pid), ...rest].join("\n"));
      const infra = await start();
      expect(await query(infra.postgresUrl, "select * from kept")).toEqual([]);
      expect(stranger.signalCode).toBeNull();
    } finally {
      stranger.kill("SIGKILL");
    }
  });

  test("given an initdb that was interrupted, when started, then it begins anew", async () => {
    const half = path.join(folder.dataDir, "postgres.init");
    mkdirSync(half, { recursive: true });
    writeFileSync(path.join(half, "PG_VERSION"), "18\n");
    const infra = await start();
    expect(await query(infra.postgresUrl, "select 1 as one")).toEqual([{ one: 1 }]);
  });
});

describe("data that does not fit", () => {
  test("given data of another Postgres, when started, then the sentence names both versions", async () => {
    const infra = await start();
    await infra.stop();
    writeFileSync(path.join(folder.dataDir, "postgres", "PG_VERSION"), "14\n");
    await expect(start()).rejects.toThrow(/was written by Postgres 14, but the one found here is \d+/);
  });

  test("given data without its passwords, when started, then it refuses instead of making new ones", async () => {
    const infra = await start();
    await infra.stop();
    renameSync(path.join(folder.dataDir, "secrets.json"), path.join(folder.dataDir, "secrets.json.lost"));
    await expect(start()).rejects.toThrow("secrets.json is missing or damaged");
    rmSync(path.join(folder.dataDir, "secrets.json"), { force: true });
  });
});

describe("given servers", () => {
  test("given all three addresses, when started, then they are used as they are and never stopped", async () => {
    const other = await start();
    const { postgresUrl, natsUrl, redisUrl } = other;
    const infra = await startInfra({
      dataDir: path.join(folder.dataDir, "unused"),
      persistent: true,
      log: (line) => log.push(line),
      given: { postgresUrl, natsUrl, redisUrl },
    });
    expect(infra).toMatchObject({ kind: "given", postgresUrl, natsUrl, redisUrl });
    await infra.stop();
    expect(await query(postgresUrl, "select 1 as one")).toEqual([{ one: 1 }]);
    expect(existsSync(path.join(folder.dataDir, "unused"))).toBe(false);
  });

  test("given an address where nothing listens, when started, then the sentence names it without the password", async () => {
    const port = await freePort();
    const redisUrl = `redis://:topsecret@127.0.0.1:${String(port)}`;
    const failure = await start({ given: { redisUrl } }).catch((error: unknown) => error);
    expect(String(failure)).toContain(`The given Redis at 127.0.0.1:${String(port)} does not answer`);
    expect(String(failure)).not.toContain("topsecret");
  });
});

function talk(port: number, say: string): Promise<string> {
  return new Promise((resolve, reject) => {
    let heard = "";
    const socket = net.connect(port, "127.0.0.1", () => socket.write(say));
    socket.setTimeout(5000, () => socket.destroy(new Error("no answer")));
    socket.on("data", (chunk) => (heard += chunk.toString()));
    socket.on("error", reject);
    socket.on("close", () => resolve(heard));
  });
}
