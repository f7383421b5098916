import { afterAll, beforeAll, expect, test } from "@jest/globals";
import type { LeaseCloseRecord, UsageRecord } from "@codex/contracts";
import { openDb, type Db } from "@codex/db";
import { idToUuid, newId, uuidToId } from "@codex/kernel";
import { createDatabase, propertyRuns, type TestDatabase } from "@codex/testkit";
import fc from "fast-check";
import { createHash, randomUUID } from "node:crypto";
import pg from "pg";
import { migrations, schema } from "../src/index.ts";
import type { Tables } from "../src/store/schema.ts";
import { book, usageOf } from "./_book.ts";
import { brokenInvariants } from "./_invariants.ts";

/**
 * Random histories of one account against Postgres and against a ledger of thirty lines. Usage comes in any order, any grouping,
 * and more than once; what counts is that both ledgers say the same after every step.
 */

let database: TestDatabase;
let client: pg.Client;
let db: Db<Tables>;

beforeAll(async () => {
  database = await createDatabase({ service: [{ schema, migrations }] });
  client = new pg.Client({ connectionString: database.urlFor("owner", schema), options: `-c search_path=${schema}` });
  await client.connect();
  db = openDb<Tables>({ url: database.urlFor("app", schema), schema, applicationName: "property test" });
});
afterAll(async () => {
  await db.close();
  await client.end();
  await database.drop();
});

type Step =
  | { readonly do: "credit"; readonly bucket: "paid" | "bonus"; readonly amount: number; readonly twice: boolean }
  | { readonly do: "debit"; readonly bucket: "paid" | "bonus"; readonly amount: number }
  | { readonly do: "grant"; readonly minimum: number; readonly more: number }
  | { readonly do: "use"; readonly lease: number; readonly cost: number }
  | { readonly do: "close"; readonly lease: number }
  | { readonly do: "lower"; readonly lease: number; readonly by: number }
  | { readonly do: "send"; readonly places: readonly number[] }
  | { readonly do: "pend"; readonly amount: number }
  | { readonly do: "resolve"; readonly post: boolean }
  | { readonly do: "reclaim" };

const amount = fc.integer({ min: 1, max: 200 });
const bucket = fc.constantFrom<"paid" | "bonus">("paid", "bonus");
const small = fc.nat(6);

const steps: fc.Arbitrary<readonly Step[]> = fc.array(
  fc.oneof(
    { weight: 2, arbitrary: fc.record({ do: fc.constant("credit" as const), bucket, amount, twice: fc.boolean() }) },
    { weight: 1, arbitrary: fc.record({ do: fc.constant("debit" as const), bucket, amount }) },
    { weight: 2, arbitrary: fc.record({ do: fc.constant("grant" as const), minimum: fc.nat(80), more: fc.nat(200) }) },
    { weight: 4, arbitrary: fc.record({ do: fc.constant("use" as const), lease: small, cost: fc.nat(60) }) },
    { weight: 2, arbitrary: fc.record({ do: fc.constant("close" as const), lease: small }) },
    { weight: 1, arbitrary: fc.record({ do: fc.constant("lower" as const), lease: small, by: fc.nat(60) }) },
    {
      weight: 4,
      arbitrary: fc.record({
        do: fc.constant("send" as const),
        places: fc.array(fc.nat(30), { minLength: 1, maxLength: 6 }),
      }),
    },
    { weight: 1, arbitrary: fc.record({ do: fc.constant("pend" as const), amount }) },
    { weight: 1, arbitrary: fc.record({ do: fc.constant("resolve" as const), post: fc.boolean() }) },
    { weight: 1, arbitrary: fc.record({ do: fc.constant("reclaim" as const) }) },
  ),
  // "max": without it fast-check draws histories of five steps, in which nothing happens.
  { minLength: 1, maxLength: 60, size: "max" },
);

interface Lease {
  readonly id: string;
  granted: number;
  settled: number;
  /** What the worker charged, whether it was sent or not. */
  spent: number;
  state: "open" | "closing" | "closed" | "reclaimed";
  closeSeq: number;
}

interface SpoolRecord {
  readonly seq: number;
  readonly lease: Lease;
  readonly cost: number | undefined;
  readonly record: UsageRecord | LeaseCloseRecord;
}

/** The whole of what a ledger must do with one account. */
class Oracle {
  paid = 0;
  bonus = 0;
  readonly leases: Lease[] = [];
  readonly pending: { readonly id: string; readonly amount: number }[] = [];
  readonly spool: SpoolRecord[] = [];
  private readonly known = new Set<number>();

  get reserved(): number {
    const held = this.leases.filter(isLive).reduce((sum, lease) => sum + lease.granted - lease.settled, 0);
    return held + this.promised;
  }

  get promised(): number {
    return this.pending.reduce((sum, { amount: promised }) => sum + promised, 0);
  }

  get available(): number {
    return this.paid + this.bonus - this.reserved;
  }

  debitable(from: "paid" | "bonus"): number {
    return Math.max(0, Math.min(from === "paid" ? this.paid - this.promised : this.bonus, this.available));
  }

  apply(records: readonly SpoolRecord[]): void {
    const fresh = records.filter(
      ({ seq }, place) => !this.known.has(seq) && records.findIndex((other) => other.seq === seq) === place,
    );
    for (const { seq } of fresh) this.known.add(seq);
    let taken = 0;
    for (const { lease, cost } of fresh.toSorted((left, right) => left.seq - right.seq)) {
      if (cost === undefined || !isLive(lease)) continue;
      const take = Math.min(cost, lease.granted - lease.settled);
      lease.settled += take;
      taken += take;
    }
    for (const { lease, cost, seq } of fresh.toSorted((left, right) => left.seq - right.seq)) {
      if (cost !== undefined || lease.state !== "open") continue;
      lease.state = "closing";
      lease.closeSeq = seq;
    }
    for (const lease of this.leases)
      if (lease.state === "closing" && lease.closeSeq <= this.watermark) lease.state = "closed";
    const fromBonus = Math.min(this.bonus, taken);
    this.bonus -= fromBonus;
    this.paid -= taken - fromBonus;
  }

  get watermark(): number {
    let mark = 0;
    while (this.known.has(mark + 1)) mark += 1;
    return mark;
  }
}

function isLive(lease: Lease): boolean {
  return lease.state === "open" || lease.state === "closing";
}

const hash = createHash("sha256").update("same").digest();

async function one<Row extends pg.QueryResultRow>(text: string, values: readonly unknown[] = []): Promise<Row> {
  const { rows } = await client.query<Row>(text, [...values]);
  const [row] = rows;
  if (!row) throw new Error(`no row: ${text}`);
  return row;
}

/** The same steps on both sides. */
class History {
  readonly accountId = newId("acc");
  readonly account = idToUuid(this.accountId);
  readonly oracle = new Oracle();
  private readonly epoch: string;
  private asks = 0;

  constructor(epoch: string) {
    this.epoch = epoch;
  }

  async take(step: Step): Promise<void> {
    switch (step.do) {
      case "credit":
        return this.credit(step.bucket, step.amount, step.twice);
      case "debit":
        return this.debit(step.bucket, step.amount);
      case "grant":
        return this.grant(step.minimum, step.minimum + step.more);
      case "use": {
        this.use(step.lease, step.cost);
        return;
      }
      case "close": {
        this.close(step.lease);
        return;
      }
      case "lower":
        return this.lower(step.lease, step.by);
      case "send":
        return this.send(step.places);
      case "pend":
        return this.pend(step.amount);
      case "resolve":
        return this.resolve(step.post);
      case "reclaim":
        return this.reclaim();
    }
  }

  async sendRest(): Promise<void> {
    if (this.oracle.spool.length > 0) await this.send(this.oracle.spool.map((_record, place) => place));
  }

  async compare(): Promise<void> {
    const { oracle } = this;
    const { rows } = await client.query<{ paid: string; bonus: string; reserved: string }>(
      "select paid, bonus, reserved from balance where account_id = $1",
      [this.account],
    );
    const { paid, bonus, reserved } = rows[0] ?? { paid: "0", bonus: "0", reserved: "0" };
    expect([Number(paid), Number(bonus), Number(reserved)]).toEqual([oracle.paid, oracle.bonus, oracle.reserved]);
    const leases = await client.query<{ id: string; state: string; settled: string; granted: string }>(
      "select id, state, settled, granted from lease where account_id = $1 order by request_no",
      [this.account],
    );
    expect(leases.rows.map((row) => [row.id, row.state, Number(row.settled), Number(row.granted)])).toEqual(
      oracle.leases.map((lease) => [lease.id, lease.state, lease.settled, lease.granted]),
    );
  }

  private async credit(into: "paid" | "bonus", sum: number, twice: boolean): Promise<void> {
    const key = `property:${randomUUID()}`;
    for (let time = 0; time < (twice ? 2 : 1); time += 1) {
      const { outcome } = await one<{ outcome: string }>(
        "select outcome from credit_account($1, $2, uuid_v7(), $3, $4, 'promo', 3::smallint, $5, 'test')",
        [key, hash, this.account, into, sum],
      );
      expect(outcome).toBe(time === 0 ? "posted" : "replayed");
    }
    this.oracle[into] += sum;
  }

  private async debit(from: "paid" | "bonus", sum: number): Promise<void> {
    const { answer } = await one<{ answer: { outcome: string } }>(
      "select move_money($1, $2, uuid_v7(), 'adjustment', $3, $4, 'debit', 'adjustments', 3::smallint, $5, 'test') as answer",
      [`property:${randomUUID()}`, hash, this.account, from, sum],
    );
    const can = this.oracle.debitable(from) >= sum;
    expect(answer.outcome).toBe(can ? "posted" : "insufficient_balance");
    if (can) this.oracle[from] -= sum;
  }

  private async grant(minimum: number, want: number): Promise<void> {
    const id = idToUuid(newId("lse"));
    this.asks += 1;
    const values = [id, this.epoch, this.asks, this.account, minimum, want];
    const text = "select outcome, granted from grant_lease($1, $2, $3, $4, 3::smallint, $5, $6, 60000)";
    const { available } = this.oracle;
    const { outcome, granted } = await one<{ outcome: string; granted: string }>(text, values);
    if (available < minimum) {
      expect(outcome).toBe("insufficient_balance");
      return;
    }
    const expected = Math.max(minimum, Math.min(want, Math.floor(available / 2)));
    expect([outcome, Number(granted)]).toEqual(["granted", expected]);
    expect(await one(text, values)).toEqual({ outcome, granted });
    this.oracle.leases.push({ id, granted: expected, settled: 0, spent: 0, state: "open", closeSeq: 0 });
  }

  private leaseAt(place: number): Lease | undefined {
    return this.oracle.leases[place % Math.max(1, this.oracle.leases.length)];
  }

  private use(place: number, cost: number): void {
    const lease = this.leaseAt(place);
    if (!lease) return;
    lease.spent += cost;
    const seq = this.oracle.spool.length + 1;
    const record = usageOf(seq, this.accountId, uuidToId("lse", lease.id), BigInt(cost));
    this.oracle.spool.push({ seq, lease, cost, record });
  }

  private close(place: number): void {
    const lease = this.leaseAt(place);
    if (!lease) return;
    const seq = this.oracle.spool.length + 1;
    const leaseId = uuidToId("lse", lease.id);
    const settledMicroTokens = BigInt(lease.spent);
    const record = { type: "lease_close", seq, accountId: this.accountId, leaseId, settledMicroTokens } as const;
    this.oracle.spool.push({ seq, lease, cost: undefined, record });
  }

  private async lower(place: number, by: number): Promise<void> {
    const lease = this.leaseAt(place);
    if (!lease) return;
    const ceiling = Math.max(0, lease.granted - by);
    await one("select return_leases($1, $2, $3::uuid[], $4::bigint[])", [
      this.epoch,
      this.account,
      [lease.id],
      [ceiling],
    ]);
    if (isLive(lease)) lease.granted = Math.min(lease.granted, Math.max(ceiling, lease.settled));
  }

  private async send(places: readonly number[]): Promise<void> {
    const { spool } = this.oracle;
    if (spool.length === 0) return;
    // A batch names a record once; whoever reads the stream sees to that.
    const records = [...new Set(places.map((place) => place % spool.length))].flatMap((place) => spool[place] ?? []);
    await book(
      db,
      Number(this.epoch),
      records.map(({ record }) => record),
    );
    this.oracle.apply(records);
  }

  private async pend(sum: number): Promise<void> {
    const id = randomUUID();
    const { answer } = await one<{ answer: { outcome: string } }>(
      `select pend_transfer($1, $2, $3, 'payment_refund', $4, 'refund_clearing', 3::smallint, $5, 'test', now() + interval '1 day') as answer`,
      [`property:${randomUUID()}`, hash, id, this.account, sum],
    );
    const can = this.oracle.debitable("paid") >= sum;
    expect(answer.outcome).toBe(can ? "pended" : "insufficient_balance");
    if (can) this.oracle.pending.push({ id, amount: sum });
  }

  private async resolve(post: boolean): Promise<void> {
    const pending = this.oracle.pending.shift();
    if (!pending) return;
    const key = `property:${randomUUID()}`;
    const part = Math.ceil(pending.amount / 2);
    if (post) {
      await one("select post_pending($1, $2, $3, $4, uuid_v7())", [key, hash, pending.id, part]);
      this.oracle.paid -= part;
    } else {
      await one("select void_pending($1, $2, $3, 'test')", [key, hash, pending.id]);
    }
  }

  private async reclaim(): Promise<void> {
    await client.query("select from reclaim_leases($1, 0, 1000)", [this.epoch]);
    for (const lease of this.oracle.leases) if (isLive(lease)) lease.state = "reclaimed";
  }
}

const cases = propertyRuns(40);
/** Far more than one takes; ten thousand of them take their hour. */
const msOfACase = 3_000;

test(
  "given any history of an account, when it is played to Postgres, then every step ends as the model says, and the books hold",
  async () => {
    await fc.assert(
      fc.asyncProperty(steps, async (history) => {
        const { epoch } = await one<{ epoch: string }>("select open_epoch('property') as epoch");
        const played = new History(epoch);
        for (const step of history) {
          await played.take(step);
          await played.compare();
        }
        await played.sendRest();
        await played.compare();
      }),
      { numRuns: cases },
    );
    const broken = await brokenInvariants(
      async <Row extends pg.QueryResultRow>(text: string, values?: readonly unknown[]) =>
        (await client.query<Row>(text, [...(values ?? [])])).rows,
    );
    expect(broken).toEqual([]);
  },
  cases * msOfACase,
);
