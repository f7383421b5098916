import { chmodSync, existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, statSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "@jest/globals";
import { removeInfraData, startInfra } from "@codex/testkit";
import { findPostgres } from "../src/programs.ts";
import { placePostgres } from "../src/postgres-place.ts";
import { query } from "./_util.ts";

/**
 * A clone below a home with mode 0700. Started by root, Postgres runs as another user, who cannot get there; started by
 * anybody else, it runs as that user and stays where it is. Each machine can show one of the two, so both are asserted.
 */
describe("a repository that other users cannot reach", () => {
  const isRoot = process.getuid?.() === 0;
  const log: string[] = [];
  let home: string;
  let dataDir: string;

  beforeEach(() => {
    log.length = 0;
    home = mkdtempSync(path.join(os.tmpdir(), "codex-home-"));
    chmodSync(home, 0o700);
    dataDir = path.join(home, "clone", ".codex", "data");
  });

  afterEach(() => {
    removeInfraData(dataDir);
    rmSync(home, { recursive: true, force: true });
  });

  const start = () => startInfra({ dataDir, persistent: true, log: (line) => log.push(line) });
  const substitutes = (): string[] => readdirSync("/var/tmp").filter((name) => name.startsWith("codex-api-"));

  test("given root, when started, then the data of Postgres is in /var/tmp, survives a restart, and goes with a reset", async () => {
    const before = substitutes();
    const first = await start();
    await query(first.postgresUrl, "create table kept (value text)");
    await first.stop();
    const second = await start();
    expect(await query(second.postgresUrl, "select * from kept")).toEqual([]);
    await second.stop();

    const made = substitutes().filter((name) => !before.includes(name));
    expect(made).toHaveLength(isRoot ? 1 : 0);
    expect(existsSync(path.join(dataDir, "postgres", "PG_VERSION"))).toBe(!isRoot);
    expect(log.some((line) => line.includes("the data of Postgres is in /var/tmp/codex-api-"))).toBe(isRoot);
    if (isRoot) expect(statSync(path.join("/var/tmp", String(made[0]), "postgres")).uid).not.toBe(0);
    removeInfraData(dataDir);
    expect(substitutes()).toEqual(before);
  });

  test("given the data folder was removed by hand, when started, then a new cluster is made beside the former one", async () => {
    const first = await start();
    await query(first.postgresUrl, "create table former (value text)");
    await first.stop();
    rmSync(dataDir, { recursive: true });
    const second = await start();
    await expect(query(second.postgresUrl, "select * from former")).rejects.toThrow("does not exist");
    await second.stop();
  });

  test("given root, when the programs cannot be reached, then a copy of them is used", async () => {
    const program = await findPostgres({ log: () => undefined });
    const hidden = path.join(home, "native");
    mkdirSync(hidden);
    const { cpSync } = await import("node:fs");
    cpSync(path.dirname(program.binFolder), hidden, { recursive: true, verbatimSymlinks: true });
    const moved = { ...program, binFolder: path.join(hidden, "bin") };
    try {
      const place = await placePostgres(moved, home, "id", (line) => log.push(line));
      expect(place.binFolder.startsWith("/var/tmp/codex-api-")).toBe(isRoot);
      expect(existsSync(path.join(place.binFolder, "postgres"))).toBe(true);
    } finally {
      removeInfraData(hidden);
      removeInfraData(home);
    }
  });
});
