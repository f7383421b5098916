import { uuidToId, type AccountId } from "@codex/kernel";
import type { Defect } from "./billing-model.ts";
import { Faults } from "./faults.ts";
import { Gateway } from "./gateway.ts";
import { Ledger } from "./ledger.ts";
import { MemoryFiles } from "./memory-files.ts";
import { Random } from "./random.ts";
import type { Network } from "./simulated-bus.ts";
import { VirtualTime } from "./virtual-time.ts";
import { World } from "./world.ts";

/** One seed: a few gateways serve a few accounts while everything fails, then the faults stop, then all must be right. */

export interface Outcome {
  readonly seed: number;
  /** Empty when everything held. */
  readonly broken: readonly string[];
  readonly served: number;
  readonly charged: number;
  readonly deaths: number;
  readonly virtualMs: number;
  /** What went wrong when, for whoever replays it. */
  readonly history: readonly string[];
}

const roughMsMin = 5_000;
const roughMsMax = 60_000;
const calmMsMax = 3_600_000;
const servedWithinMs = 100_000;
const checkEveryMs = 1_000;

export async function simulate(seed: number, defect: Defect = "none"): Promise<Outcome> {
  const random = new Random(seed);
  const time = new VirtualTime();
  const files = new MemoryFiles(time, random);
  const putTimeBack = time.install();
  const putFilesBack = files.install();
  try {
    return await run(seed, random, time, files, defect);
  } finally {
    putFilesBack();
    putTimeBack();
  }
}

async function run(
  seed: number,
  random: Random,
  time: VirtualTime,
  files: MemoryFiles,
  defect: Defect,
): Promise<Outcome> {
  const faults = new Faults(random);
  const world = new World(time, random, faults, defect);
  const ledger = new Ledger();
  const network: Network = { time, random, faults, world };
  const accounts = Array.from({ length: random.int(1, 4) }, (): AccountId => uuidToId("acc", random.uuid()));
  for (const accountId of accounts) world.billing.credit(accountId, BigInt(random.int(0, 100_000)));
  const gateways = Array.from(
    { length: random.int(1, 3) },
    (_, place) => new Gateway(`g${String(place)}`, network, files, ledger),
  );
  for (const gateway of gateways) gateway.start();

  const broken: string[] = [];
  const stopped = (): boolean => broken.length > 0;
  time.after(checkEveryMs, () => broken.push(...ledger.alwaysBroken(world)), checkEveryMs);
  const roughMs = random.int(roughMsMin, roughMsMax);
  const history: string[] = [];
  customers(network, gateways, accounts, roughMs);
  trouble(network, files, gateways, roughMs, (what) => history.push(`${String(time.nowMs)} ms: ${what}`));
  await time.runUntil(roughMs, stopped);

  faults.stop();
  for (const gateway of gateways) files.setFull(gateway.folder, false);
  const drained = (): boolean =>
    gateways.every((gateway) => gateway.running && gateway.unconfirmed === 0) &&
    [...world.billing.accounts.values()].every((account) => account.reserved === 0n);
  // What runs is served to its end first.
  await time.runUntil(roughMs + servedWithinMs, stopped);
  for (const epoch of gateways.flatMap((gateway) => gateway.lostEpochs)) world.billing.reclaim(epoch);
  await time.runUntil(roughMs + calmMsMax, () => stopped() || drained());
  if (!stopped()) {
    for (const gateway of gateways) {
      if (!gateway.running) broken.push(`liveness: ${gateway.folder} did not come up`);
      else if (gateway.unconfirmed > 0) broken.push(`liveness: ${String(gateway.unconfirmed)} records unconfirmed`);
    }
    broken.push(...ledger.finallyBroken(world));
  }
  return {
    seed,
    broken: [...new Set(broken)],
    served: ledger.served.size,
    charged: world.billing.booked.size,
    deaths: history.filter((line) => deathsKnown.some((death) => line.includes(death))).length,
    history,
    virtualMs: time.nowMs,
  };
}

function customers(
  network: Network,
  gateways: readonly Gateway[],
  accounts: readonly AccountId[],
  untilMs: number,
): void {
  const { time, random } = network;
  const dear = random.pick([10, 1_000, 20_000]);
  const pauseMs = random.pick([100, 500, 2_000]);
  const next = (): void => {
    if (time.nowMs >= untilMs) return;
    const hold = random.int(0, dear);
    random.pick(gateways).serve({
      accountId: random.pick(accounts),
      hold: BigInt(hold),
      cost: BigInt(random.chance(0.2) ? hold : random.int(0, hold)),
      takesMs: random.int(1, random.chance(0.1) ? 20_000 : 500),
    });
    if (random.chance(0.01)) network.world.billing.credit(random.pick(accounts), BigInt(random.int(1, 5_000)));
    time.after(random.int(0, pauseMs), next);
  };
  next();
}

const deathsKnown = ["kill", "power cut", "disk lost"] as const;

/** Draws one trouble after the other. A seed without a kind is as good as one with all: it finds other things. */
function trouble(
  network: Network,
  files: MemoryFiles,
  gateways: readonly Gateway[],
  untilMs: number,
  note: (what: string) => void,
): void {
  const { time, random } = network;
  const kinds = [...machineTroubles(network, files, gateways, note), ...networkTroubles(network, note)];
  const drawn = random.shuffled(kinds).slice(0, random.int(0, kinds.length));
  if (drawn.length === 0) return;
  const everyMs = random.int(500, 15_000);
  const next = (): void => {
    if (time.nowMs >= untilMs) return;
    random.pick(drawn)();
    time.after(random.int(1, everyMs), next);
  };
  time.after(random.int(1, everyMs), next);
}

function machineTroubles(
  { time, random }: Network,
  files: MemoryFiles,
  gateways: readonly Gateway[],
  note: (what: string) => void,
): (() => void)[] {
  const die = (death: (typeof deathsKnown)[number]) => (): void => {
    const gateway = random.pick(gateways);
    if (!gateway.running) return;
    note(`${gateway.folder} ${death}`);
    gateway.die(death);
    time.after(random.int(10, 8_000), () => gateway.start());
  };
  const kinds = [
    die("kill"),
    die("kill"),
    () => {
      const ms = random.int(100, 90_000);
      const gateway = random.pick(gateways);
      note(`${gateway.folder} stands still for ${String(ms)} ms`);
      gateway.pause(ms);
    },
    () => {
      const { folder } = random.pick(gateways);
      note(`${folder} has a full disk`);
      files.setFull(folder, true);
      time.after(random.int(100, 5_000), () => files.setFull(folder, false));
    },
  ];
  if (random.chance(0.3)) kinds.push(die("power cut"));
  if (random.chance(0.1)) kinds.push(die("disk lost"));
  return kinds;
}

function networkTroubles({ time, random, faults, world }: Network, note: (what: string) => void): (() => void)[] {
  const down = (which: "billingDown" | "busDown") => (): void => {
    const ms = random.int(100, 20_000);
    note(`${which} for ${String(ms)} ms`);
    faults[which] = true;
    time.after(ms, () => (faults[which] = false));
  };
  return [
    down("billingDown"),
    down("busDown"),
    () => {
      const messages = random.int(1, 30);
      note(`the stream loses its last ${String(messages)} messages`);
      world.rollBack(messages);
    },
    () => {
      note("the stream is made anew");
      world.remake();
    },
  ];
}
