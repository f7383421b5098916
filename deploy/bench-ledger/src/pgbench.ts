import { execFileSync } from "node:child_process";
import { existsSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { searchPath } from "./config.ts";
import type { BenchWorld } from "./world.ts";

/** pgbench of the PATH, or of Debian's package; undefined where there is none. */
function findPgbench(): string | undefined {
  const places = searchPath()
    .split(":")
    .map((folder) => path.join(folder, "pgbench"));
  const debian = "/usr/lib/postgresql";
  const packaged = existsSync(debian)
    ? readdirSync(debian)
        .toSorted()
        .reverse()
        .map((version) => path.join(debian, version, "bin/pgbench"))
    : [];
  return [...places, ...packaged].find((file) => existsSync(file));
}

/** One debit a transaction: a balance goes down, a row says why. What a ledger without batches does at the least. */
const script = `\\set no random(1, 20000)
begin;
update bench_wallet set posted = posted - 1 where no = :no;
insert into bench_debit (no, amount) values (:no, 1);
commit;
`;

/** One-row debits a second by one client; undefined when this machine has no pgbench. */
export async function runPgbench(world: BenchWorld, seconds: number): Promise<number | undefined> {
  const program = findPgbench();
  if (program === undefined) return undefined;
  await world.admin.query(
    `create table bench_wallet (no integer primary key, posted bigint not null) with (fillfactor = 60);
     create table bench_debit (id bigint generated always as identity primary key, no integer not null, amount bigint not null);
     insert into bench_wallet select no, 1000000 from generate_series(1, 20000) as no`,
  );
  const folder = mkdtempSync(path.join(os.tmpdir(), "codex-pgbench-"));
  try {
    writeFileSync(path.join(folder, "debit.sql"), script);
    const url = new URL(world.adminUrl);
    url.searchParams.set("options", "-csearch_path=billing");
    const output = execFileSync(
      program,
      [
        "--no-vacuum",
        "--client=1",
        `--time=${String(seconds)}`,
        "--protocol=prepared",
        `--file=${path.join(folder, "debit.sql")}`,
        url.href,
      ],
      { encoding: "utf8", timeout: (seconds + 30) * 1_000 },
    );
    return Math.round(Number(/tps = ([\d.]+)/.exec(output)?.[1]));
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
