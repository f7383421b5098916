import { idToUuid } from "@codex/kernel";
import { eventually } from "@codex/testkit";
import { Client, type Observation } from "./client.ts";
import type { Gateway } from "./fleet.ts";
import { flatCostMicroTokens, flatModel } from "./models.ts";
import type { Random } from "./random.ts";
import type { World } from "./world.ts";

export interface RaceOptions {
  readonly repeats: number;
  /** At once, over all gateways. */
  readonly requests: number;
  /** Given, it chooses a gateway in each repeat that is far away from NATS. */
  readonly far: Random | undefined;
  readonly signal: AbortSignal;
  readonly onObservation: (observation: Observation) => void;
  readonly onProgress: (line: string) => void;
}

const affordable = 3n;
/** One way: there and back is longer than billing waits for recalled money from workers that have answered. */
const farMs = 150;

/**
 * Money for exactly three requests and many more than that at once: exactly three must be admitted, and the rest be told
 * that the balance is not enough. Each repeat is an account of its own. Returns what was otherwise, one sentence a repeat.
 */
export async function race(world: World, options: RaceOptions): Promise<readonly string[]> {
  const client = new Client();
  const findings: string[] = [];
  try {
    for (let repeat = 0; repeat < options.repeats && !options.signal.aborted; repeat += 1) {
      const finding = await once(world, client, repeat, options);
      if (finding !== undefined) findings.push(finding);
      if ((repeat + 1) % 10 === 0) {
        options.onProgress(
          `race: ${String(repeat + 1)} of ${String(options.repeats)}, ${String(findings.length)} not as promised`,
        );
      }
    }
  } finally {
    client.close();
  }
  return findings;
}

async function once(world: World, client: Client, repeat: number, options: RaceOptions): Promise<string | undefined> {
  const customer = world.customers[repeat];
  if (customer === undefined) throw new Error("the world has too few customers for this race");
  await world.grant(customer.accountId, affordable * flatCostMicroTokens);
  await eventually(async () => (await owned(world, customer.accountId)) === affordable * flatCostMicroTokens, {
    timeoutMs: 10_000,
    what: "the grant",
  });
  const { gateways } = world.fleet;
  const ask = (gateway: Gateway | undefined, stream: boolean): Promise<Observation> => {
    if (gateway === undefined) throw new Error("there is no gateway");
    return client.ask({
      gateway: gateway.program.name,
      url: gateway.url,
      customer,
      model: flatModel,
      stream,
      maxTokens: 20,
      words: "Three of us may pass.",
      leaveAfterMs: undefined,
    });
  };
  const far = options.far?.pick(gateways);
  const before: Observation[] = [];
  if (far) {
    // It keeps a lease with room for half a request. The third request, at the other gateway, needs that half.
    before.push(await ask(far, false));
    far.links.nats.set({ kind: "latency", ms: farMs });
    const near = gateways.find((gateway) => gateway !== far);
    before.push(await ask(near, false), await ask(near, true));
  }
  const together = Array.from({ length: options.requests - before.length }, (_none, index) =>
    ask(gateways[index % gateways.length], index % 2 === 0),
  );
  const answers = [...before, ...(await Promise.all(together))];
  far?.links.nats.set({ kind: "pass" });
  answers.forEach(options.onObservation);
  const admitted = answers.filter(({ status }) => status === 200).length;
  const refused = answers.filter(({ status }) => status === 402).length;
  if (before.some(({ status }) => status !== 200)) {
    return `race ${String(repeat + 1)}: before it, with money that nobody used, ${statuses(before)}`;
  }
  if (BigInt(admitted) === affordable && admitted + refused === answers.length) return undefined;
  return `race ${String(repeat + 1)}: ${String(admitted)} admitted and ${statuses(answers)}`;
}

async function owned(world: World, accountId: string): Promise<bigint> {
  const { rows } = await world.admin.query<{ owned: string }>(
    "select paid + bonus as owned from balance where account_id = $1",
    [idToUuid(accountId)],
  );
  return BigInt(rows[0]?.owned ?? 0);
}

function statuses(answers: readonly Observation[]): string {
  const counts = new Map<string, number>();
  for (const { status, problem } of answers) {
    const name = status === undefined ? `no answer (${problem ?? "?"})` : String(status);
    counts.set(name, (counts.get(name) ?? 0) + 1);
  }
  return [...counts].map(([name, count]) => `${String(count)} × ${name}`).join(", ");
}
