import { parseArgs } from "node:util";
import { listActs, verifyActs } from "./audit-log.ts";
import { openDb } from "./pool.ts";

export interface VerifyActsCommandOptions {
  readonly service: string;
  readonly schema: string;
  /** DATABASE_URL as the environment has it; any role that may read the schema. */
  readonly url: string | undefined;
}

const pageMax = 1_000;

/**
 * The whole of a service's verify-acts.ts: reads its audit log from the beginning and prints how many lines hold and the last hash,
 * to be kept where the database's administrator cannot write. With `--export` it prints the lines as JSON instead, newest first.
 * Exit code: 0 the chain holds, 1 it does not, 2 it could not be found out, 78 (EX_CONFIG) without a usable URL. Never throws.
 */
export async function verifyActsCommand({ service, schema, url }: VerifyActsCommandOptions): Promise<void> {
  if (url === undefined || !/^postgres(ql)?:\/\//.test(url)) {
    process.stderr.write(`${service}: DATABASE_URL must be a postgres:// URL of a role that reads schema ${schema}.\n`);
    process.exitCode = 78;
    return;
  }
  try {
    const { values } = parseArgs({ options: { export: { type: "boolean", default: false } } });
    const db = openDb({ url, schema, applicationName: `${service} verify-acts`, connectionsMax: 1 });
    try {
      if (values.export) await exportActs(db);
      else await verify(db);
    } finally {
      await db.close();
    }
  } catch (error) {
    process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
    process.exitCode = 2;
  }
}

async function verify(db: Parameters<typeof verifyActs>[0]): Promise<void> {
  const { count, broken, head } = await verifyActs(db);
  if (broken === undefined) {
    process.stdout.write(`${String(count)} lines, the chain holds; the last hash is ${head}\n`);
    return;
  }
  process.stdout.write(`the chain is broken at line ${String(broken)}; the hash before it is ${head}\n`);
  process.exitCode = 1;
}

async function exportActs(db: Parameters<typeof verifyActs>[0]): Promise<void> {
  for (let beforeSeq: bigint | undefined; ;) {
    const acts = await listActs(db, { beforeSeq }, pageMax);
    for (const act of acts) {
      const line = { ...act, seq: act.seq.toString(), hash: act.hash.toString("hex") };
      process.stdout.write(`${JSON.stringify(line)}\n`);
    }
    beforeSeq = acts.at(-1)?.seq;
    if (acts.length < pageMax) return;
  }
}
