import { usagePartitionOf } from "@codex/contracts";
import { insertOutbox, sqlState, type Db } from "@codex/db";
import { AppError, idToUuid, newId, uuidToId, type AccountId, type LeaseId, type MicroTokens } from "@codex/kernel";
import { sql } from "kysely";
import type { GrantAsk, GrantOutcome, LeaseCeiling, LeaseStore, Reclaimed } from "../app/lease-ports.ts";
import type { EncodeBalanceChanged } from "./ledger-store.ts";
import { toCount } from "./mapping.ts";
import type { Tables } from "./schema.ts";

/** Leases of one transaction of {@link LeaseStore.reclaim}: their balances are locked together. */
const reclaimMax = 500;

interface GrantRow {
  outcome: GrantOutcome["outcome"];
  lease_id: string | null;
  granted: bigint | null;
  ttl_ms: number | null;
  available: bigint | null;
  held: bigint | null;
  price_group: string;
  cap_period: "day" | "month" | "total" | null;
  cap: bigint | null;
  cap_resets_at: Date | null;
}

interface ReclaimedRow {
  account_id: string;
  leases: number;
  freed: bigint;
  paid: bigint;
  bonus: bigint;
  reserved: bigint;
  version: bigint;
}

export function createLeaseStore(db: Db<Tables>, encode: EncodeBalanceChanged): LeaseStore {
  return {
    grant: (ask) => grant(db, ask),
    holders: (accountId) => holders(db, accountId),
    giveBack: (epoch, accountId, leases) => giveBack(db, epoch, accountId, leases),
    recover: (epoch, requestNo, accountId) => recover(db, epoch, requestNo, accountId),
    reclaim: (which) => reclaim(db, encode, which),
    async seen(epoch) {
      await sql`select touch_epoch(${epoch}::bigint)`.execute(db.kysely);
    },
    async positions() {
      const rows = await db.kysely
        .selectFrom("ingest_position")
        .select(["partition", "stream_created", "floor"])
        .orderBy("partition")
        .execute();
      return rows.map((row) => ({
        partition: row.partition,
        streamCreated: row.stream_created,
        floor: toCount(row.floor),
      }));
    },
  };
}

async function grant(db: Db<Tables>, ask: GrantAsk): Promise<GrantOutcome> {
  const { cap } = ask;
  const { rows } = await ofKnownEpoch(
    sql<GrantRow>`
      select * from grant_lease(
        ${idToUuid(ask.leaseId)}::uuid, ${ask.epoch}::bigint, ${ask.requestNo}::bigint, ${idToUuid(ask.accountId)}::uuid,
        ${usagePartitionOf(ask.accountId)}::smallint, ${ask.minimum}::bigint, ${ask.want}::bigint, ${ask.ttlMs}::integer,
        ${cap === null ? null : idToUuid(cap.keyId)}::uuid, ${cap?.daily ?? null}::bigint, ${cap?.monthly ?? null}::bigint,
        ${cap?.total ?? null}::bigint
      )`.execute(db.kysely),
  );
  return fromDbGrant(rows[0]);
}

function fromDbGrant(row: GrantRow | undefined): GrantOutcome {
  if (!row) throw new Error("grant_lease answered nothing");
  const { outcome, available, held } = row;
  if (outcome === "granted") {
    if (row.lease_id === null || row.granted === null || row.ttl_ms === null)
      throw new Error("a grant without a lease");
    const leaseId = uuidToId("lse", row.lease_id);
    return { outcome, leaseId, granted: row.granted, ttlMs: row.ttl_ms, priceGroup: row.price_group };
  }
  const facts = { available: available ?? 0n, held: held ?? 0n };
  if (outcome !== "key_cap_reached") return { outcome, ...facts };
  if (row.cap_period === null || row.cap === null) throw new Error("a cap was reached and is not named");
  return { outcome, ...facts, period: row.cap_period, cap: row.cap, resetsAt: row.cap_resets_at };
}

/** The only foreign key of a lease that a caller can get wrong. */
async function ofKnownEpoch<T>(work: Promise<T>): Promise<T> {
  try {
    return await work;
  } catch (error) {
    if (sqlState(error) !== "23503") throw error;
    throw new AppError({
      kind: "invalid",
      code: "unknown_epoch",
      publicMessage: "This epoch was never opened.",
      cause: error,
    });
  }
}

/** `touch_epoch` writes a sign of life once a minute at most, and a worker gives one each half minute. */
async function holders(db: Db<Tables>, accountId: AccountId): Promise<readonly number[]> {
  const { rows } = await sql<{ epoch: bigint }>`
    select distinct l.epoch from lease l join gateway_epoch e on e.epoch = l.epoch
    where l.account_id = ${idToUuid(accountId)}::uuid and l.state = 'open'
      and e.last_seen_at > now() - interval '3 minutes'`.execute(db.kysely);
  return rows.map(({ epoch }) => toCount(epoch));
}

async function giveBack(
  db: Db<Tables>,
  epoch: number,
  accountId: AccountId,
  leases: readonly LeaseCeiling[],
): Promise<MicroTokens> {
  const { rows } = await sql<{ freed: bigint }>`
    select return_leases(${epoch}::bigint, ${idToUuid(accountId)}::uuid,
      ${leases.map(({ leaseId }) => idToUuid(leaseId))}::uuid[], ${leases.map(({ ceiling }) => ceiling.toString())}::bigint[]
    ) as freed`.execute(db.kysely);
  return rows[0]?.freed ?? 0n;
}

async function recover(
  db: Db<Tables>,
  epoch: number,
  requestNo: number,
  accountId: AccountId,
): Promise<LeaseId | undefined> {
  const { rows } = await ofKnownEpoch(
    sql<{ lease_id: string | null }>`
      select recover_lease(${idToUuid(newId("lse"))}::uuid, ${epoch}::bigint, ${requestNo}::bigint,
        ${idToUuid(accountId)}::uuid, ${usagePartitionOf(accountId)}::smallint) as lease_id`.execute(db.kysely),
  );
  const leaseId = rows[0]?.lease_id ?? null;
  return leaseId === null ? undefined : uuidToId("lse", leaseId);
}

async function reclaim(
  db: Db<Tables>,
  encode: EncodeBalanceChanged,
  which: Parameters<LeaseStore["reclaim"]>[0],
): Promise<readonly Reclaimed[]> {
  const epoch = "epoch" in which ? which.epoch : null;
  const unseenForMs = "epoch" in which ? 0 : which.unseenForMs;
  return db.transaction(async (trx) => {
    const { rows } = await sql<ReclaimedRow>`
      select * from reclaim_leases(${epoch}::bigint, ${unseenForMs}::bigint, ${reclaimMax}::integer)`.execute(trx);
    const reclaimed = rows.map((row) => ({
      accountId: uuidToId("acc", row.account_id),
      leases: row.leases,
      freed: row.freed,
      paid: row.paid,
      bonus: row.bonus,
      held: row.reserved,
      version: toCount(row.version),
    }));
    await insertOutbox(trx, reclaimed.map(encode));
    return reclaimed;
  });
}
