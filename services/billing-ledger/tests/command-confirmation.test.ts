import { startCommandRelay, type CommandRelay, type Verdict } from "@codex/bus";
import { commandVerdicts, grantCommand, refundCommand } from "@codex/contracts";
import { commandOutboxMigration, commandOutboxSource, insertCommands, openDb, type Db } from "@codex/db";
import { newId, type AccountId } from "@codex/kernel";
import { createDatabase, eventually, testLogger, type TestDatabase } from "@codex/testkit";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "@jest/globals";
import { jetstreamManager } from "@nats-io/jetstream";
import { globSync, readdirSync, rmSync } from "node:fs";
import path from "node:path";
import { sql } from "kysely";
import { accountIn, balanceOf, startWorld, Worker, fund, type World } from "./_util.ts";

/** Another service, as far as it sends commands: its own database, the product's table and relay. */
const senderSchema = "sender";
let world: World;
let senderDatabase: TestDatabase;
let db: Db<object>;
let relay: CommandRelay | undefined;
const refused: string[] = [];

beforeAll(async () => {
  world = await startWorld();
  senderDatabase = await createDatabase({
    service: [{ schema: senderSchema, migrations: [commandOutboxMigration("20260101T0000_commands")] }],
  });
  db = openDb({ url: senderDatabase.urlFor("app", senderSchema), schema: senderSchema, applicationName: "sender" });
});
afterAll(async () => {
  await db.close();
  await senderDatabase.drop();
  await world.stop();
});
beforeEach(async () => {
  await sql`delete from command_outbox`.execute(db.kysely);
  refused.length = 0;
});
afterEach(() => relay?.stop());

async function verdicts(eventIds: readonly string[]): Promise<ReadonlyMap<string, Verdict>> {
  const answer = await world.bus.call(commandVerdicts, { eventIds: [...eventIds] });
  if (!answer.ok) throw new Error("billing refused its verdicts");
  return new Map(answer.value.verdicts.map(({ eventId, verdict }) => [eventId, verdict]));
}

function startRelay(resendMs = 600): void {
  relay = startCommandRelay({
    source: commandOutboxSource(db),
    bus: world.bus,
    verdicts,
    onRefused: (eventId) => refused.push(eventId),
    logger: testLogger("test"),
    pollMs: 50,
    resendMs,
  });
}

async function decideGrant(accountId: AccountId, amount: bigint, key: string = newId("evt")): Promise<string> {
  const command = world.bus.encode(grantCommand, {
    params: { accountId },
    data: { accountId, bucket: "bonus", amountMicroTokens: amount, reason: "telegram_bonus", idempotencyKey: key },
  });
  await db.transaction((trx) => insertCommands(trx, [command]));
  return command.eventId;
}

interface Row {
  readonly sends: number;
  readonly refused: boolean;
}

async function rowOf(eventId: string): Promise<Row | undefined> {
  const { rows } = await sql<Row>`
    select sends, refused_at is not null as refused from command_outbox where event_id = ${eventId}`.execute(db.kysely);
  return rows[0];
}

const bonusOf = async (accountId: AccountId): Promise<bigint> => (await balanceOf(world, accountId)).bonusMicroTokens;

/** Kills NATS and deletes the newest blocks of the commands, as a power cut does to what was not synced. */
async function loseCommands(): Promise<void> {
  await world.nats.kill();
  const [newest] = globSync(path.join(world.nats.dataDir, "**/streams/COMMANDS/msgs/*.blk")).sort(
    (a, b) => Number.parseInt(path.basename(b), 10) - Number.parseInt(path.basename(a), 10),
  );
  if (newest === undefined) throw new Error("the stream has no block");
  const base = `${path.basename(newest, ".blk")}.`;
  for (const name of readdirSync(path.dirname(newest))) {
    if (name.startsWith(base)) rmSync(path.join(path.dirname(newest), name));
  }
  await world.nats.restart();
  await eventually(async () => world.bus.status() === "connected" && (await world.bus.ping().then(() => true)), {
    what: "the connection",
    timeoutMs: 15_000,
  });
}

describe("a command that is done", () => {
  test("given billing, when a grant is decided, then it is paid, confirmed, and sent once", async () => {
    const accountId = accountIn(1);
    const eventId = await decideGrant(accountId, 700n);
    startRelay(60_000);
    await eventually(async () => (await rowOf(eventId)) === undefined, { what: "the confirmation" });
    expect(await bonusOf(accountId)).toBe(700n);
    expect(await verdicts([eventId])).toEqual(new Map([[eventId, "applied"]]));
    const jsm = await jetstreamManager(world.bus.connection);
    const subject = `cmd.billing.grant.v1.${accountId}`;
    expect((await jsm.streams.info("COMMANDS", { subjects_filter: subject })).state.subjects?.[subject]).toBe(1);
  });

  test("given a sender that died after sending, when it is back, then the command is confirmed and paid once", async () => {
    const accountId = accountIn(2);
    const eventId = await decideGrant(accountId, 5n);
    // The publish went out, and the transaction that would have noted it did not commit.
    const died = await commandOutboxSource(db)
      .process(1, async (rows) => {
        await world.bus.publishRaw(rows);
        throw new Error("died");
      })
      .catch(String);
    expect(died).toContain("died");
    expect(await rowOf(eventId)).toEqual({ sends: 0, refused: false });
    await eventually(async () => (await bonusOf(accountId)) === 5n, { what: "the money" });
    startRelay();
    await eventually(async () => (await rowOf(eventId)) === undefined, { what: "the confirmation" });
    expect(await bonusOf(accountId)).toBe(5n);
  });
});

describe("a command that NATS acknowledged and lost", () => {
  test("given billing had not read it, when NATS comes back without it, then it is sent again under another id and paid once", async () => {
    const accountId = accountIn(3);
    await world.service.stop();
    const eventId = await decideGrant(accountId, 900n);
    startRelay();
    await eventually(async () => (await rowOf(eventId))?.sends === 1, { what: "the acknowledgement of NATS" });
    await loseCommands();
    await world.startReplica();
    await eventually(async () => (await rowOf(eventId)) === undefined, { what: "the confirmation", timeoutMs: 20_000 });
    expect(await bonusOf(accountId)).toBe(900n);
  }, 60_000);

  test("given billing had paid it, when NATS comes back without it, then it is confirmed and not paid again", async () => {
    const accountId = accountIn(4);
    const eventId = await decideGrant(accountId, 30n);
    startRelay();
    await eventually(async () => (await bonusOf(accountId)) === 30n, { what: "the money", timeoutMs: 20_000 });
    await loseCommands();
    await eventually(async () => (await rowOf(eventId)) === undefined, { what: "the confirmation", timeoutMs: 20_000 });
    expect(await bonusOf(accountId)).toBe(30n);
  }, 60_000);

  test("given billing is away, when time passes, then nothing is sent a second time", async () => {
    await relay?.stop();
    const accountId = accountIn(5);
    const eventId = await decideGrant(accountId, 1n);
    let asked = 0;
    relay = startCommandRelay({
      source: commandOutboxSource(db),
      bus: world.bus,
      verdicts: () => {
        asked += 1;
        return Promise.reject(new Error("away"));
      },
      onRefused: () => undefined,
      logger: testLogger("test"),
      pollMs: 20,
      resendMs: 50,
    });
    await eventually(() => asked >= 2, { what: "two questions", timeoutMs: 10_000 });
    expect(await rowOf(eventId)).toEqual({ sends: 1, refused: false });
  });
});

describe("a command that is not done", () => {
  test("given a key that was used for another grant, then the sender is told, keeps the row, and sends nothing more", async () => {
    const accountId = accountIn(6);
    const key = newId("evt");
    const first = await decideGrant(accountId, 10n, key);
    startRelay();
    await eventually(async () => (await rowOf(first)) === undefined, { what: "the first" });
    const second = await decideGrant(accountId, 11n, key);
    await eventually(async () => (await rowOf(second))?.refused === true, { what: "the refusal" });
    expect(refused).toEqual([second]);
    expect(await bonusOf(accountId)).toBe(10n);
    expect(await commandOutboxSource(db).pending()).toEqual({ unconfirmed: 0, oldestMs: 0, refused: 1 });
  });

  test("given a refund that comes before its charge, then billing says that it waits, and confirms once it is paid", async () => {
    const accountId = accountIn(7);
    await fund(world, accountId, { paid: 10_000n });
    const worker = await Worker.open(world, newId("job"));
    const leaseId = await worker.lease(accountId, 500n);
    const record = worker.usage(accountId, leaseId, { input: 10, output: 2 });
    const command = world.bus.encode(refundCommand, {
      params: { accountId },
      data: {
        accountId,
        requestId: record.requestId,
        amountMicroTokens: null,
        reason: "service_fault",
        idempotencyKey: newId("evt"),
      },
    });
    await db.transaction((trx) => insertCommands(trx, [command]));
    startRelay();
    await eventually(async () => (await verdicts([command.eventId])).get(command.eventId) === "waiting", {
      what: "a verdict",
    });
    await worker.send([record]);
    await eventually(async () => (await rowOf(command.eventId)) === undefined, {
      what: "the confirmation",
      timeoutMs: 30_000,
    });
    expect((await balanceOf(world, accountId)).paidMicroTokens).toBe(10_000n);
  }, 60_000);
});
