import { balanceGet, keyResolve } from "@codex/contracts";
import { formatAmount, hashApiKey, idToUuid, uuidToId } from "@codex/kernel";
import { eventually } from "@codex/testkit";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "@jest/globals";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import pg from "pg";
import { brokenInvariants } from "../../services/billing-ledger/tests/_invariants.ts";
import { killGatewayProcesses } from "./_gateway-process.ts";
import { startWorld, type Customer, type World } from "./_world.ts";

// kill -9 of the gateway at different moments, and its next life on the same spool: what was delivered is charged once, what
// was cut is settled by its progress, and no money stays held.

const grant = 10_000_000_000n;
let world: World;
let database: pg.Pool;
/** Running clients; a test that fails leaves none behind. */
const running = new Set<AbortController>();

beforeAll(async () => {
  world = await startWorld({ gatewayAsProcess: true });
  database = new pg.Pool({ connectionString: world.database.adminUrl, max: 2, options: "-c search_path=billing" });
  database.on("error", () => undefined);
}, 60_000);

afterEach(() => {
  for (const client of running) client.abort();
});

afterAll(async () => {
  try {
    await database.end();
    await world.stop();
  } finally {
    killGatewayProcesses();
  }
}, 60_000);

async function rows<Row extends pg.QueryResultRow>(text: string, values: readonly unknown[] = []): Promise<Row[]> {
  return (await database.query<Row>(text, [...values])).rows;
}

interface Asked {
  requestId: string | undefined;
  status: number | undefined;
  text: string;
  /** The client has the whole answer. */
  delivered: boolean;
  readonly done: Promise<void>;
}

/** Sends a chat and reads on until it ends, however it ends. */
function ask(customer: Customer, model: string, more: Readonly<Record<string, unknown>> = {}): Asked {
  const abort = new AbortController();
  running.add(abort);
  const body = JSON.stringify({ model, max_tokens: 300, messages: [{ role: "user", content: story }], ...more });
  const headers = { authorization: `Bearer ${customer.apiKey}`, "content-type": "application/json" };
  const work = async (asked: Asked): Promise<void> => {
    const url = `${world.gateway.httpUrl ?? ""}/v1/chat/completions`;
    const response = await fetch(url, { method: "POST", headers, body, signal: abort.signal });
    asked.requestId = response.headers.get("x-request-id") ?? undefined;
    asked.status = response.status;
    for await (const piece of response.body ?? []) asked.text += Buffer.from(piece).toString("latin1");
    const isStream = more["stream"] === true;
    asked.delivered = response.status === 200 && (!isStream || asked.text.includes("data: [DONE]"));
  };
  const asked = {
    requestId: undefined,
    status: undefined,
    text: "",
    delivered: false,
    done: new Promise<void>((resolve) => {
      // The result is read from the fields; a torn connection is one of the results.
      queueMicrotask(() => {
        work(asked)
          .catch(() => undefined)
          .finally(() => {
            running.delete(abort);
            resolve();
          });
      });
    }),
  } as Asked;
  return asked;
}

const story = "Tell me a long story about a lighthouse, its keeper, the sea, and the ships that pass. ".repeat(4);

/** A lease that has room for everything a round asks, so that no grant is under way when the gateway dies. */
async function warmUp(customer: Customer): Promise<Asked> {
  const first = ask(customer, "demo-small", { max_tokens: 4_000 });
  await first.done;
  expect(first.status).toBe(200);
  return first;
}

interface UsageRow {
  readonly request_id: string;
  readonly status: string;
  readonly hold: string;
  readonly charged: string;
  readonly cost: string;
  readonly estimated: boolean;
  readonly tokens_output: string;
}

async function usageOf(customer: Customer): Promise<readonly UsageRow[]> {
  const found = await rows<UsageRow>(
    `select request_id, status, hold, charged, cost, estimated, tokens_output from usage_event
      where request_id is not null and account_id = $1`,
    [idToUuid(customer.accountId)],
  );
  return found.map((row) => ({ ...row, request_id: uuidToId("req", row.request_id) }));
}

async function balanceOf(customer: Customer) {
  const answer = await world.bus.call(balanceGet, { accountId: customer.accountId });
  if (!answer.ok) throw new Error("balance refused");
  return answer.value;
}

/** The promises of a kill, after the next life has begun. `since` is the upstream's journal before the round. */
async function booksAreRight(customer: Customer, asked: readonly Asked[], since: number): Promise<readonly UsageRow[]> {
  await eventually(async () => (await balanceOf(customer)).heldMicroTokens === 0n, {
    timeoutMs: 10_000,
    what: "the held money to come back",
  });
  // No envelope lost: every epoch is complete, and no older epoch is left on the disk.
  await eventually(() => readdirSync(world.spoolDir).filter((name) => name.endsWith(".spool")).length === 1, {
    timeoutMs: 10_000,
    what: "the spool of the dead life to be confirmed and deleted",
  });
  const gaps = await rows(
    `select c.epoch, c.partition from gateway_cursor c
      where c.contiguous <> (select coalesce(max(seq), 0) from usage_event u where u.epoch = c.epoch and u.partition = c.partition)`,
  );
  expect(gaps).toEqual([]);
  expect(await rows("select reason, error from quarantine")).toEqual([]);
  expect(await rows("select id from lease where state in ('open', 'closing')")).toEqual([]);
  expect(await rows("select id from lease where worker_settled is distinct from settled")).toEqual([]);
  expect(
    await rows("select request_id from usage_event where request_id is not null group by 1 having count(*) > 1"),
  ).toEqual([]);
  expect(await rows("select request_id from usage_event where charge_mismatch and status <> 'abandoned'")).toEqual([]);
  expect(await brokenInvariants(rows)).toEqual([]);

  const usage = await usageOf(customer);
  const byId = new Map(usage.map((row) => [row.request_id, row]));
  const ids = asked.flatMap(({ requestId }) => (requestId === undefined ? [] : [requestId]));
  // What reached the upstream was opened before, so it is known even where the client never heard its id.
  const upstreamIds = world.upstream.journal.page(since, 10_000).entries.map(({ requestId }) => requestId);
  expect([...ids, ...upstreamIds].filter((requestId) => !byId.has(requestId))).toEqual([]);
  expect(usage).toHaveLength(byId.size);
  expect(byId.size).toBeLessThanOrEqual(asked.length);
  for (const { requestId, delivered } of asked) {
    const row = requestId === undefined ? undefined : byId.get(requestId);
    if (delivered) expect(row).toMatchObject({ status: "ok", estimated: false });
  }
  for (const row of usage) {
    expect(BigInt(row.charged)).toBe(BigInt(row.cost));
    expect(BigInt(row.charged)).toBeLessThanOrEqual(BigInt(row.hold));
    if (row.status === "ok") expect(BigInt(row.charged)).toBeGreaterThan(0n);
    // Settled by progress: something only for something delivered.
    if (row.status === "abandoned") expect(BigInt(row.charged) > 0n).toBe(BigInt(row.tokens_output) > 0n);
  }
  const charged = usage.reduce((sum, row) => sum + BigInt(row.charged), 0n);
  expect(await balanceOf(customer)).toMatchObject({
    paidMicroTokens: grant - charged,
    availableMicroTokens: grant - charged,
    heldMicroTokens: 0n,
  });
  expect((await customer.browser.get("/api/billing/balance")).body).toMatchObject({
    paid: formatAmount(grant - charged),
    held: "0.000000",
  });
  return usage;
}

function journalEnd(): number {
  return world.upstream.journal.page(0, 100_000).next;
}

/** Streams of the customer that the spool says were opened. */
function journaledStreams({ accountId }: Customer): number {
  const files = readdirSync(world.spoolDir).filter((name) => name.endsWith(".spool"));
  const text = files.map((name) => readFileSync(join(world.spoolDir, name), "latin1")).join("");
  return text.match(new RegExp(`"accountId":"${accountId}"[^}]*"model":"demo-slow"`, "g"))?.length ?? 0;
}

/** The bus and who answers on it are whole again: a gateway can start, and customers can be served. */
async function busIsBack(customer: Customer): Promise<void> {
  const { accountId, apiKey } = customer;
  await eventually(async () => (await world.bus.call(balanceGet, { accountId })).ok, { what: "billing on the bus" });
  await eventually(async () => (await world.bus.call(keyResolve, { keyHash: hashApiKey(apiKey) })).ok, {
    what: "key-registry on the bus",
  });
}

describe("kill -9 in the middle of several streams", () => {
  test.each([
    ["before the first byte", 0],
    ["after the first words", 3],
    ["when progress was journaled", 25],
  ])(
    "%s: the next life settles all of it",
    async (_name, chunks) => {
      const customer = await world.customer(grant);
      const since = journalEnd();
      const asked = [await warmUp(customer)];
      const streams = Array.from({ length: 6 }, () => ask(customer, "demo-slow", { stream: true }));
      asked.push(...streams);
      await eventually(() => streams.every(({ text }) => text.split("data: ").length - 1 >= chunks), {
        what: `${String(chunks)} chunks of every stream`,
      });
      await eventually(() => journaledStreams(customer) === streams.length, {
        everyMs: 5,
        what: "all streams to be journaled",
      });
      // Some that end at about the same moment, so that their records are on their way.
      asked.push(...Array.from({ length: 8 }, () => ask(customer, "demo-small")));
      await eventually(() => asked.slice(7).some(({ delivered }) => delivered), { everyMs: 1, what: "a short answer" });
      await world.killGateway();
      await Promise.all(asked.map(({ done }) => done));
      expect(streams.filter(({ delivered }) => delivered)).toEqual([]);
      await world.startGateway();
      const usage = await booksAreRight(customer, asked, since);
      const abandoned = usage.filter(({ status }) => status === "abandoned");
      expect(abandoned.length).toBeGreaterThanOrEqual(streams.length);
      // A second and more of an answer was journaled, and is paid for.
      if (chunks > 20) expect(abandoned.filter(({ charged }) => BigInt(charged) > 0n)).toHaveLength(streams.length);
    },
    30_000,
  );
});

describe("kill -9 between spool and publish", () => {
  test("given the bus died first: what was answered on leases is charged by the next life", async () => {
    const customer = await world.customer(grant);
    const since = journalEnd();
    const asked = [await warmUp(customer)];
    await world.nats.kill();
    const unsent = Array.from({ length: 10 }, () => ask(customer, "demo-small"));
    await Promise.all(unsent.map(({ done }) => done));
    expect(unsent.map(({ status, delivered }) => [status, delivered])).toEqual(unsent.map(() => [200, true]));
    const cut = ask(customer, "demo-slow", { stream: true });
    await eventually(() => cut.text !== "", { what: "the stream to begin" });
    await world.killGateway();
    await cut.done;
    asked.push(...unsent, cut);
    await world.nats.restart();
    await busIsBack(customer);
    expect(await usageOf(customer)).not.toContainEqual(expect.objectContaining({ request_id: unsent[0]?.requestId }));
    await world.startGateway();
    const usage = await booksAreRight(customer, asked, since);
    expect(usage.filter(({ status }) => status === "ok")).toHaveLength(11);
  }, 30_000);

  test("given the next life is killed in its recovery, and the one after it: still once each", async () => {
    const customer = await world.customer(grant);
    const since = journalEnd();
    const asked = [await warmUp(customer)];
    asked.push(...Array.from({ length: 4 }, () => ask(customer, "demo-slow", { stream: true })));
    await eventually(() => asked.slice(1).every(({ text }) => text !== ""), { what: "the streams to begin" });
    await world.killGateway();
    await Promise.all(asked.map(({ done }) => done));
    for (let life = 0; life < 2; life += 1) {
      await world.startGateway();
      await world.killGateway();
    }
    await world.startGateway();
    await booksAreRight(customer, asked, since);
    const later = ask(customer, "demo-small");
    await later.done;
    expect(later.delivered).toBe(true);
  }, 30_000);
});

describe("kill -9 in the middle of a grant", () => {
  test("given billing grants the lease to a dead worker, then the next life finds it, and no money stays held", async () => {
    const customer = await world.customer(grant);
    const since = journalEnd();
    const locker = await database.connect();
    let cut: Asked;
    try {
      await locker.query("begin");
      await locker.query("select from balance where account_id = $1 for update", [idToUuid(customer.accountId)]);
      cut = ask(customer, "demo-small");
      await eventually(
        async () =>
          (await rows("select from pg_stat_activity where wait_event_type = 'Lock' and query like '%grant_lease%'"))
            .length > 0,
        { what: "the grant to wait in the database", everyMs: 5 },
      );
      await world.killGateway();
      await locker.query("commit");
    } finally {
      locker.release();
    }
    await cut.done;
    await eventually(async () => (await balanceOf(customer)).heldMicroTokens > 0n, {
      what: "the money to be held for nobody",
    });
    await world.startGateway();
    await world.killGateway();
    await world.startGateway();
    expect(await booksAreRight(customer, [cut], since)).toEqual([]);
  }, 30_000);
});
