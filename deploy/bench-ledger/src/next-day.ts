import { leaseGrant } from "@codex/contracts";
import type { BenchAccount } from "./accounts.ts";
import type { BenchWorld } from "./world.ts";

/** Enough for every request of a run; each account has ten times as much left. */
const leaseMicroTokens = 10_000_000_000n;
const asksAtOnce = 8;

/**
 * The world as a worker sees it that begins after midnight: an epoch of tomorrow and, for every account, a lease of it by the
 * ordinary call. Usage goes to the day of its epoch, so what is sent in this world fills tomorrow's table. `open_epoch` takes
 * the day from the server's clock, which is not ours to set; so its four lines are said here with the day as a parameter.
 * The table of the day after is made meanwhile, as the job of billing would do it at midnight.
 */
export async function nextDay(world: BenchWorld): Promise<BenchWorld & { readonly day: number }> {
  const day = Math.floor(world.epoch / 1_000_000) + 1;
  await world.admin.query("select ensure_usage_day($1::bigint), ensure_usage_day($1::bigint + 1)", [day]);
  const { rows } = await world.admin.query<{ epoch: string }>(
    `insert into gateway_epoch (epoch, worker_id) values ($1::bigint * 1000000 + nextval('epoch_number'), 'bench tomorrow')
     returning epoch`,
    [day],
  );
  const epoch = Number(rows[0]?.epoch);
  const accounts: BenchAccount[] = [];
  const rest = world.accounts.entries();
  const ask = async (): Promise<void> => {
    for (const [index, account] of rest) {
      const answer = await world.bus.call(leaseGrant, {
        epoch,
        requestNo: index + 1,
        accountId: account.accountId,
        minimumMicroTokens: leaseMicroTokens,
        wantMicroTokens: leaseMicroTokens,
      });
      if (!answer.ok) throw new Error(`no lease of the next day: ${answer.code}`);
      accounts[index] = { ...account, leaseId: answer.value.leaseId };
    }
  };
  await Promise.all(Array.from({ length: asksAtOnce }, ask));
  return { ...world, epoch, accounts, day };
}
