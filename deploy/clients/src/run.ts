import { eventually } from "@codex/testkit";
import { readFileSync } from "node:fs";
import path from "node:path";
import { startWatchdog } from "../../../libs/testkit/src/watchdog.ts";
import { readBooks, type Books } from "../../chaos/src/books.ts";
import { leftInSpools, untilQuiet } from "../../chaos/src/quiet.ts";
import { retireGateways, startWorld, type World } from "../../chaos/src/world.ts";
import type { Agent, Task } from "./agent.ts";
import { readDeliveries, uncharged, wrongCharges } from "./charges.ts";
import type { Installed } from "./install.ts";
import { runTask } from "./run-task.ts";

export interface RunOptions {
  readonly installed: readonly Installed[];
  /** The folder with the logs stays even when all is well. */
  readonly keep: boolean;
  readonly signal: AbortSignal;
  readonly log: (line: string) => void;
}

export interface TaskResult {
  readonly agent: Agent;
  readonly task: Task;
  /** In the ledger. */
  readonly requests: number;
  readonly chargedMicroTokens: bigint;
  readonly seconds: number;
  /** Nothing: the task was done and charged as it must be. */
  readonly problems: readonly string[];
}

export interface RunResult {
  readonly tasks: readonly TaskResult[];
  /** What is wrong with the books as a whole. */
  readonly books: readonly string[];
}

const balanceMicroTokens = 1_000_000_000_000n;
const quietTimeoutMs = 90_000;

interface Job {
  readonly agent: Agent;
  readonly task: Task;
  readonly program: string;
}

interface Done extends Job {
  readonly accountId: string;
  readonly seconds: number;
  readonly problems: readonly string[];
}

/**
 * The whole system with real processes (chaos's world, which nobody disturbs here); each task with an account of its own, one after
 * the other; then everything comes to rest and the books are compared. Rejects when the system cannot be started.
 */
export async function run(options: RunOptions): Promise<RunResult> {
  const jobs = options.installed.flatMap((one): readonly Job[] =>
    "program" in one ? one.agent.tasks.map((task) => ({ agent: one.agent, task, program: one.program })) : [],
  );
  const world = await startWorld({
    gatewayHosts: 1,
    workersPerHost: 1,
    billings: 1,
    customers: jobs.length,
    leaseTtlMs: 5_000,
    spoolBytesMax: 1_073_741_824,
    smallDiskBytes: 0,
    clockSkewMs: () => 0,
    cluster: false,
    models: Object.fromEntries(jobs.map(({ task }) => [task.model, "demo-tools"])),
    keep: options.keep,
    signal: options.signal,
    log: options.log,
  });
  const watchdog = startWatchdog([]);
  const stopAtOnce = (): void => void world.stop(options.keep);
  options.signal.addEventListener("abort", stopAtOnce, { once: true });
  let clean = false;
  try {
    await fund(world);
    const done: Done[] = [];
    for (const [index, job] of jobs.entries()) {
      done.push(await doOne(world, job, index, options, watchdog));
      options.signal.throwIfAborted();
    }
    const result = await compare(world, done);
    clean = result.books.length === 0 && result.tasks.every(({ problems }) => problems.length === 0);
    if (!clean) options.log(`what each process said is in ${world.dataDir}`);
    return result;
  } finally {
    options.signal.removeEventListener("abort", stopAtOnce);
    watchdog.release();
    await world.stop(options.keep || (!clean && !options.signal.aborted));
  }
}

async function fund(world: World): Promise<void> {
  for (const { accountId } of world.customers) await world.grant(accountId, balanceMicroTokens);
  const funded = async (): Promise<boolean> => {
    const { rows } = await world.admin.query<{ n: string }>("select count(*) as n from balance where paid > 0");
    return rows[0]?.n === String(world.customers.length);
  };
  await eventually(funded, { timeoutMs: 20_000, what: "the money of the customers" });
}

async function doOne(
  world: World,
  job: Job,
  index: number,
  options: RunOptions,
  watchdog: ReturnType<typeof startWatchdog>,
): Promise<Done> {
  const customer = world.customers[index];
  const [gateway] = world.fleet.gateways;
  if (!customer || !gateway) throw new Error("there is no customer or no gateway for a task");
  options.log(`${job.agent.name}: ${job.task.name}`);
  const startedMs = performance.now();
  const problems = await runTask({
    ...job,
    folder: path.join(world.dataDir, "agents", `${job.agent.name}-${String(index)}`),
    gatewayUrl: gateway.url,
    apiKey: customer.apiKey,
    signal: options.signal,
    watchdog,
  });
  return { ...job, accountId: customer.accountId, seconds: (performance.now() - startedMs) / 1_000, problems };
}

async function compare(world: World, done: readonly Done[]): Promise<RunResult> {
  await retireGateways(world.fleet.gateways);
  const restless = await untilQuiet(world, quietTimeoutMs);
  const books = await readBooks(world.admin);
  const deliveries = readDeliveries(readFileSync(world.fleet.journalFile, "utf8"));
  const tasks = done.map(({ agent, task, accountId, seconds, problems }) => {
    const rows = books.usage.filter((row) => row.accountId === accountId);
    return {
      agent,
      task,
      requests: rows.length,
      chargedMicroTokens: rows.reduce((sum, { charged }) => sum + charged, 0n),
      seconds,
      problems: [...problems, ...wrongCharges(task, rows, deliveries), ...wrongBalance(books, world, accountId)],
    };
  });
  return {
    tasks,
    books: [
      ...restless,
      ...leftInSpools(world),
      ...books.broken,
      ...uncharged(books.usage, deliveries),
      ...(books.entrySum === 0n ? [] : [`the sum of all entries is ${String(books.entrySum)}`]),
    ],
  };
}

function wrongBalance(books: Books, world: World, accountId: string): readonly string[] {
  const rows = books.usage.filter((row) => row.accountId === accountId);
  const charged = rows.reduce((sum, row) => sum + row.charged - (books.refunds.get(row.requestId) ?? 0n), 0n);
  const owned = books.balances.get(accountId) ?? 0n;
  const left = (world.granted.get(accountId) ?? 0n) - charged;
  return owned === left ? [] : [`the balance is ${String(owned)} micro-tokens, not ${String(left)}`];
}
