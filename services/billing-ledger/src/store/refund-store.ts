import type { UsageLine } from "@codex/contracts";
import type { Db } from "@codex/db";
import { idToUuid, uuidToId, type AccountId, type MicroTokens, type RequestId } from "@codex/kernel";
import { sql } from "kysely";
import type { RefundScanStore, ScannedLine, ScanRange } from "../app/auto-refund.ts";
import type { UsageStore } from "../app/ports.ts";
import { toCount } from "./mapping.ts";
import type { Tables } from "./schema.ts";

/** Numbers of one stretch: some milliseconds of reading. */
const stretchMax = 5_000n;
/** After which another replica takes over a stretch whose reader died. */
const claimSeconds = 30;
/**
 * An epoch whose worker has given no sign of life for so long has brought nothing new: whoever sends what is left in an old
 * spool asks for its watermarks, which is a sign of life.
 */
const quietDays = 2;

/**
 * Reads along the primary key of usage, (stream, seq), up to the watermark, so it costs one look at each new row and
 * never misses one: what is below the watermark is committed. No row of money is locked.
 */
export function createRefundScanStore(db: Db<Tables>): RefundScanStore {
  // Whatever happened while nobody looked, once; there are sixteen watermarks for every start that a worker has ever had.
  let caughtUp = false;
  return {
    claim: async (most) => {
      const ranges = await claim(db, most, caughtUp ? quietDays : undefined);
      if (ranges.length === 0) caughtUp = true;
      return ranges;
    },
    candidates: (range) => readCandidates(db, range),
    advance: async ({ epoch, partition, upTo }) => {
      await sql`update refund_scan_position set scanned = greatest(scanned, ${upTo}), claimed_until = now()
        where epoch = ${epoch} and partition = ${partition}`.execute(db.kysely);
    },
  };
}

async function claim(db: Db<Tables>, most: number, days: number | undefined): Promise<readonly ScanRange[]> {
  const seen = days === undefined ? sql`true` : sql`e.last_seen_at > now() - make_interval(days => ${days})`;
  // Who waits longest comes first, so that one busy partition does not hold up the others. Another replica may have been
  // faster since: then the row is not taken.
  const { rows } = await sql<{ epoch: bigint; partition: number; after: bigint; up_to: bigint }>`
    with due as materialized (
      select c.epoch, c.partition, c.contiguous
      from gateway_epoch e join gateway_cursor c on c.epoch = e.epoch
      left join refund_scan_position p on p.epoch = c.epoch and p.partition = c.partition
      where ${seen} and c.contiguous > coalesce(p.scanned, 0) and coalesce(p.claimed_until, '-infinity') <= now()
      order by p.claimed_until nulls first, c.epoch, c.partition limit ${most}
    ), claimed as (
      insert into refund_scan_position as p (epoch, partition, claimed_until)
        select epoch, partition, now() + make_interval(secs => ${claimSeconds}) from due order by epoch, partition
        on conflict (epoch, partition) do update set claimed_until = excluded.claimed_until where p.claimed_until <= now()
        returning epoch, partition, scanned
    )
    select epoch, partition, scanned as after, least(contiguous, scanned + ${stretchMax}) as up_to
    from claimed join due using (epoch, partition)`.execute(db.kysely);
  return rows.map((row) => ({
    epoch: row.epoch,
    partition: row.partition,
    after: row.after,
    upTo: row.up_to,
  }));
}

interface CandidateRow {
  account_id: string;
  request_id: string;
  route: string;
  status: string;
  error_code: string | null;
  charged: bigint;
  tokens_output: bigint;
  tokens_reasoning: bigint;
  image_count: bigint | null;
}

async function readCandidates(db: Db<Tables>, range: ScanRange): Promise<ScannedLine[]> {
  const stream = range.epoch * 16n + BigInt(range.partition);
  // First what the rules may cover, of few lines, and then whose it is: the view would look up everything of every line.
  const { rows } = await sql<CandidateRow>`
    with line as materialized (
      select u.account_no, u.request_id, s.route, s.status, s.error_code, coalesce(u.charged, u.cost_wide, u.cost) as charged,
        coalesce(u.tokens_output, 0)::bigint as tokens_output, coalesce(u.tokens_reasoning, 0)::bigint as tokens_reasoning,
        u.image_count::bigint as image_count, u.seq
      from usage_row u join usage_shape s on s.no = u.shape_no
      where u.stream = ${stream} and u.seq > ${range.after} and u.seq <= ${range.upTo}
        and coalesce(u.charged, u.cost_wide, u.cost) > 0
        and (s.status in ('upstream_error', 'upstream_cut') or (s.status = 'ok' and coalesce(u.tokens_output, 0) = 0))
    )
    select b.account_id, request_id, route, status, error_code, charged, tokens_output, tokens_reasoning, image_count
    from line join balance b using (account_no) order by seq`.execute(db.kysely);
  return rows.map((row) => ({
    accountId: uuidToId("acc", row.account_id),
    requestId: uuidToId("req", row.request_id),
    route: row.route,
    status: row.status,
    errorCode: row.error_code,
    charged: row.charged,
    outputTokens: toCount(row.tokens_output),
    reasoningTokens: toCount(row.tokens_reasoning),
    imageCount: row.image_count === null ? null : toCount(row.image_count),
  }));
}

/** The usage store with what was given back of each line: one more query a page. */
export function withRefunds(usage: UsageStore, db: Db<Tables>): UsageStore {
  return {
    page: async (accountId, limit, before) => {
      const page = await usage.page(accountId, limit, before);
      return { ...page, lines: await withRefunded(db, accountId, page.lines) };
    },
    find: async (accountId, requestId) => {
      const posted = await usage.find(accountId, requestId);
      if (!posted) return undefined;
      const [line = posted.line] = await withRefunded(db, accountId, [posted.line]);
      return { ...posted, line };
    },
  };
}

/** The lines of one account with what was given back of each. */
export async function withRefunded(
  db: Db<Tables>,
  accountId: AccountId,
  lines: readonly UsageLine[],
): Promise<UsageLine[]> {
  const requestIds = lines.map((line) => line.requestId);
  const refunded = await refundedOf(db, accountId, requestIds);
  return lines.map((line) => ({ ...line, refunded: refunded.get(line.requestId) ?? 0n }));
}

async function refundedOf(
  db: Db<Tables>,
  accountId: AccountId,
  requestIds: readonly RequestId[],
): Promise<ReadonlyMap<RequestId, MicroTokens>> {
  if (requestIds.length === 0) return new Map();
  const rows = await db.kysely
    .selectFrom("usage_refund")
    .select(["request_id", (eb) => eb.fn.max("refunded_after").as("refunded")])
    .where("account_id", "=", idToUuid(accountId))
    .where("request_id", "in", requestIds.map(idToUuid))
    .groupBy("request_id")
    .execute();
  return new Map(rows.map((row) => [uuidToId("req", row.request_id), row.refunded]));
}
