import { balanceGet } from "@codex/contracts";
import { idToUuid } from "@codex/kernel";
import { eventually } from "@codex/testkit";
import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { readdirSync } from "node:fs";
import pg from "pg";
import { brokenInvariants } from "../../services/billing-ledger/tests/_invariants.ts";
import { dial, notesOf, RealtimeClient } from "../../services/gateway-proxy/tests/_realtime.ts";
import { killGatewayProcesses } from "./_gateway-process.ts";
import { startWorld, type Customer, type World } from "./_world.ts";

// Realtime sessions through the edge into the real ledger; and a gateway that is killed in the middle of one.

const grant = 1_000_000_000_000n;
let world: World;
let database: pg.Pool;

beforeAll(async () => {
  world = await startWorld({ gatewayAsProcess: true });
  database = new pg.Pool({ connectionString: world.database.adminUrl, max: 2, options: "-c search_path=billing" });
  database.on("error", () => undefined);
  // Slow enough that a gateway can be killed in the middle of an answer.
  const channel = await world.operator.post("/api/gateway/channels", {
    name: "realtime",
    kind: "demo",
    baseUrl: `${world.upstream.url}/v1`,
    secret: "demo-secret",
    models: { "demo-realtime": "demo-slow-1ms" },
  });
  expect(channel.status).toBe(201);
}, 60_000);

afterAll(async () => {
  try {
    await database.end();
    await world.stop();
  } finally {
    killGatewayProcesses();
  }
}, 60_000);

interface Row {
  readonly model: string;
  readonly status: string;
  readonly charged: string;
  readonly tokens_input: string;
  readonly tokens_output: string;
}

async function rowsOf({ accountId }: Customer): Promise<readonly Row[]> {
  const { rows } = await database.query<Row>(
    `select model, status, charged, tokens_input, tokens_output from usage_event
      where request_id is not null and account_id = $1 order by model`,
    [idToUuid(accountId)],
  );
  return rows;
}

async function open({ apiKey }: Customer, url = world.origin): Promise<RealtimeClient> {
  // A gateway that has just started may not know the channel yet.
  return eventually(
    async () => {
      const client = await dial(url, { apiKey });
      return client instanceof RealtimeClient && client;
    },
    { what: "a session" },
  );
}

async function booksClose({ accountId }: Customer, rows: readonly Row[]): Promise<void> {
  const charged = rows.reduce((sum, row) => sum + BigInt(row.charged), 0n);
  await eventually(
    async () => {
      const answer = await world.bus.call(balanceGet, { accountId });
      return answer.ok && answer.value.heldMicroTokens === 0n && answer.value.paidMicroTokens === grant - charged;
    },
    { what: "nothing to be held, and the charges to be booked", timeoutMs: 30_000 },
  );
  const query = async <Found extends pg.QueryResultRow>(text: string, values: readonly unknown[] = []) =>
    (await database.query<Found>(text, [...values])).rows;
  expect(await brokenInvariants(query)).toEqual([]);
  expect(await query("select reason, error from quarantine")).toEqual([]);
  expect(await query("select request_id from usage_event where charge_mismatch and status <> 'abandoned'")).toEqual([]);
}

test("given a spoken session through the edge, when a response is done, then the ledger has what the upstream counted, in two rows", async () => {
  const customer = await world.customer(grant);
  const client = await open(customer);
  await client.byHand();
  client.say("Say something.");
  client.send({ type: "response.create" });
  await client.next("response.done");
  const [note] = notesOf(world, client);
  const rows = await eventually(
    async () => {
      const found = await rowsOf(customer);
      return found.length === 2 && found;
    },
    { what: "two rows in the ledger" },
  );
  expect(rows).toMatchObject([
    { model: "demo-realtime", status: "ok", tokens_output: String(note?.trueUsage?.["text_out"]) },
    { model: "demo-realtime:audio", status: "ok", tokens_output: String(note?.trueUsage?.["audio_out"]) },
  ]);
  client.close();
  await client.ended;
  await booksClose(customer, rows);
}, 60_000);

test("given a gateway that is killed in the middle of a response, when it lives again, then the response is settled once by its progress, and nothing stays held", async () => {
  const customer = await world.customer(grant);
  const client = await open(customer, world.gateway.httpUrl ?? "");
  await client.byHand();
  client.say("Tell me something long. ".repeat(20));
  client.send({ type: "response.create" });
  // Longer than the second after which progress is journaled.
  await client.next("response.output_audio.delta");
  const startedMs = performance.now();
  await eventually(() => performance.now() - startedMs > 1_500 && client.seen.length > 20, { what: "some progress" });
  expect(client.seen.some(({ type }) => type === "response.done")).toBe(false);
  await world.killGateway();
  await client.ended;
  await world.startGateway();
  const rows = await eventually(
    async () => {
      const found = await rowsOf(customer);
      return found.length === 2 && found;
    },
    { what: "both records to be settled", timeoutMs: 20_000 },
  );
  expect(rows.map(({ model, status }) => ({ model, status }))).toEqual([
    { model: "demo-realtime", status: "abandoned" },
    { model: "demo-realtime:audio", status: "abandoned" },
  ]);
  for (const row of rows) {
    expect(BigInt(row.charged)).toBeGreaterThan(0n);
    expect(Number(row.tokens_output)).toBeGreaterThan(0);
  }
  await eventually(() => readdirSync(world.spoolDir).filter((name) => name.endsWith(".spool")).length === 1, {
    timeoutMs: 20_000,
    what: "the spool of the dead life to be confirmed and deleted",
  });
  await booksClose(customer, rows);
}, 90_000);
