import { connectBus, rpcHandler, type Bus } from "@codex/bus";
import {
  balanceGet,
  defaultPriceGroup,
  epochOpen,
  grantCommand,
  jwksGet,
  leaseGrant,
  priceUsage,
  sessionCheckV2,
  tokensOnly,
  usageEnvelope,
  usagePartitionOf,
  watermarkGet,
  type ModelPrice,
  type Role,
  type SpoolRecord,
  type TokenCounts,
  type UsageRecord,
} from "@codex/contracts";
import { openDb } from "@codex/db";
import { newId, ok, refuse, type AccountId, type LeaseId, type SessionId } from "@codex/kernel";
import { loadConfig, startInProcess, type InProcessService } from "@codex/runtime";
import { createDatabase, eventually, startNats, testLogger, type PrivateNats, type TestDatabase } from "@codex/testkit";
import { calculateJwkThumbprint, exportJWK, generateKeyPair, SignJWT, type CryptoKey } from "jose";
import pg from "pg";
import { importPrices, type ImportOptions } from "../src/app/import-prices.ts";
import { config, migrations, schema, start } from "../src/index.ts";
import { createPriceStore } from "../src/store/price-store.ts";
import type { Tables } from "../src/store/schema.ts";

export const origin = "http://localhost:8080";

/** Ten micro-tokens an input token, twenty an output token, five a request. */
export const model: ModelPrice = {
  model: "demo-small",
  displayName: "Demo small",
  contextTokens: 1_000_000,
  outputTokensMax: 100_000,
  rates: {
    input: 10_000_000n,
    cachedInput: 1_000_000n,
    cacheWrite: 12_500_000n,
    cacheWrite1h: 20_000_000n,
    output: 20_000_000n,
    reasoning: 20_000_000n,
  },
  perRequest: 5n,
  perImage: [],
  perAudioSecond: 0n,
  tiers: [],
  offPeak: [],
};

export const noTokens: TokenCounts = {
  input: 0,
  cachedInput: 0,
  cacheWrite: 0,
  cacheWrite1h: 0,
  output: 0,
  reasoning: 0,
};

/** Accounts of one partition, so that a test can mix them in one envelope. */
export function accountIn(partition: number): AccountId {
  for (;;) {
    const accountId = newId("acc");
    if (usagePartitionOf(accountId) === partition) return accountId;
  }
}

/** A stand-in for the service auth, at the border of the contract: signs sessions and answers for them. */
export interface AuthStandIn {
  /** A cookie header for a new session of the account. */
  signIn(accountId: AccountId, role?: Role): Promise<string>;
  end(): void;
}

async function startAuth(bus: Bus): Promise<AuthStandIn & { stop(): Promise<void> }> {
  const { privateKey, publicKey } = await generateKeyPair("EdDSA", { crv: "Ed25519", extractable: true });
  const jwk = await exportJWK(publicKey);
  const kid = await calculateJwkThumbprint(jwk);
  const sessions = new Map<SessionId, { readonly accountId: AccountId; readonly role: Role }>();
  const service = await bus.serve({ name: "auth", version: "1.0.0", description: "stand-in" }, [
    rpcHandler(jwksGet, async () =>
      ok({ keys: [{ kty: "OKP", crv: "Ed25519", x: jwk.x ?? "", kid, alg: "EdDSA", use: "sig" }] }),
    ),
    rpcHandler(sessionCheckV2, async ({ req }) => {
      const session = sessions.get(req.sessionId);
      if (!session) return refuse("session_ended", "ended");
      return ok({
        sessionId: req.sessionId,
        ...session,
        expiresAt: new Date(Date.now() + 600_000).toISOString(),
        authenticatedAt: new Date().toISOString(),
      });
    }),
  ]);
  return {
    signIn: async (accountId, role = "user") => {
      const sessionId = newId("ses");
      sessions.set(sessionId, { accountId, role });
      return `__Host-cx=${await sign(privateKey, kid, sessionId)}`;
    },
    end: () => sessions.clear(),
    stop: () => service.stop(),
  };
}

function sign(key: CryptoKey, kid: string, sessionId: SessionId): Promise<string> {
  return new SignJWT({ sid: sessionId })
    .setProtectedHeader({ alg: "EdDSA", kid, typ: "session+jwt" })
    .setIssuer(origin)
    .setAudience("dashboard")
    .setIssuedAt()
    .setExpirationTime("10m")
    .sign(key);
}

export interface World {
  readonly database: TestDatabase;
  readonly nats: PrivateNats;
  readonly bus: Bus;
  readonly auth: AuthStandIn;
  readonly service: InProcessService;
  /** Version of the imported price book. */
  readonly priceVersion: UsageRecord["priceVersion"];
  /** Another replica on the same database and bus; stopped with the world. */
  startReplica(): Promise<InProcessService>;
  /** As superuser; int8 as text. */
  query<Row extends pg.QueryResultRow>(text: string, values?: readonly unknown[]): Promise<Row[]>;
  get(path: string, cookie?: string): Promise<{ status: number; body: Record<string, unknown>; headers: Headers }>;
  stop(): Promise<void>;
}

export async function importModel(
  url: string,
  models: readonly ModelPrice[],
  options: ImportOptions = {},
): Promise<UsageRecord["priceVersion"]> {
  const db = openDb<Tables>({ url, schema, applicationName: "test import" });
  try {
    const outcome = await importPrices(createPriceStore(db), [...models], options);
    if (!outcome.ok) throw new Error(outcome.problems.join());
    return outcome.version;
  } finally {
    await db.close();
  }
}

export function settings(
  database: TestDatabase,
  nats: PrivateNats,
  more: Readonly<Record<string, string>> = {},
): Record<string, string> {
  return {
    NODE_ENV: "test",
    HTTP_PORT: "0",
    ADMIN_PORT: "0",
    SHUTDOWN_GRACE_MS: "0",
    DATABASE_URL: database.urlFor("app", schema),
    NATS_URL: nats.url,
    PUBLIC_ORIGIN: origin,
    BILLING_RECEIPT_KEY: "r7Xq-Kd2_Wm9vTz4Hb6nY1sLp8cGf3jQ5e0",
    USAGE_ROUND_MS: "50",
    PRICE_POLL_MS: "50",
    ALERT_ROUND_MS: "50",
    BONUS_EXPIRY_ROUND_MS: "50",
    BALANCE_ROUND_MS: "50",
    // Many tests book answers without a token, which this rule would give back; the tests of the rules switch it on.
    AUTO_REFUND_EMPTY_COMPLETION: "false",
    ...more,
  };
}

/** The service in this process, on a database and a NATS server of its own, with one imported model. */
export async function startWorld(more: Readonly<Record<string, string>> = {}): Promise<World> {
  const database = await createDatabase({ service: [{ schema, migrations }] });
  const priceVersion = await importModel(database.urlFor("app", schema), [model]);
  const nats = await startNats();
  const bus = await connectBus({ servers: [nats.url], name: "test" }, { logger: testLogger("test"), source: "test" });
  const auth = await startAuth(bus);
  const admin = new pg.Pool({ connectionString: database.adminUrl, max: 2, options: `-c search_path=${schema}` });
  // end() resolves before the sockets are closed: whoever drops the database then ends a connection that nobody has.
  admin.on("error", () => undefined);
  const replicas: InProcessService[] = [];
  const startReplica = async (): Promise<InProcessService> => {
    const replica = await startInProcess({
      name: "billing-ledger",
      config: loadConfig(config, settings(database, nats, more)),
      start,
      logger: testLogger("billing-ledger"),
    });
    replicas.push(replica);
    return replica;
  };
  const service = await startReplica();
  return {
    database,
    nats,
    bus,
    auth,
    service,
    priceVersion,
    startReplica,
    query: async <Row extends pg.QueryResultRow>(text: string, values: readonly unknown[] = []) =>
      (await admin.query<Row>(text, [...values])).rows,
    get: async (path, cookie) => {
      const headers = cookie === undefined ? {} : { cookie };
      const response = await fetch(`${service.httpUrl ?? ""}${path}`, { headers, signal: AbortSignal.timeout(5_000) });
      return {
        status: response.status,
        body: (await response.json()) as Record<string, unknown>,
        headers: response.headers,
      };
    },
    stop: async () => {
      for (const replica of replicas) await replica.stop();
      await auth.stop();
      await bus.drain();
      await nats.stop();
      await admin.end();
      await database.drop();
    },
  };
}

export interface BalanceAnswer {
  readonly paidMicroTokens: bigint;
  readonly bonusMicroTokens: bigint;
  readonly heldMicroTokens: bigint;
  readonly availableMicroTokens: bigint;
}

export async function balanceOf(world: Pick<World, "bus">, accountId: AccountId): Promise<BalanceAnswer> {
  const answer = await world.bus.call(balanceGet, { accountId });
  if (!answer.ok) throw new Error("balance refused");
  return answer.value;
}

export async function sendGrant(
  world: Pick<World, "bus">,
  accountId: AccountId,
  amount: bigint,
  more: { bucket?: "paid" | "bonus"; key?: string; id?: string } = {},
): Promise<void> {
  await world.bus.publish(grantCommand, {
    ...(more.id === undefined ? {} : { id: more.id }),
    params: { accountId },
    data: {
      accountId,
      bucket: more.bucket ?? "paid",
      amountMicroTokens: amount,
      reason: "operator_grant",
      idempotencyKey: more.key ?? newId("evt"),
    },
  });
}

/** Grants and waits until the money is there. */
export async function fund(
  world: Pick<World, "bus">,
  accountId: AccountId,
  money: { paid?: bigint; bonus?: bigint },
): Promise<void> {
  const before = await balanceOf(world, accountId);
  if (money.paid !== undefined) await sendGrant(world, accountId, money.paid, { bucket: "paid" });
  if (money.bonus !== undefined) await sendGrant(world, accountId, money.bonus, { bucket: "bonus" });
  const target = before.paidMicroTokens + before.bonusMicroTokens + (money.paid ?? 0n) + (money.bonus ?? 0n);
  await eventually(
    async () => {
      const now = await balanceOf(world, accountId);
      return now.paidMicroTokens + now.bonusMicroTokens === target;
    },
    { what: "the granted money" },
  );
}

/** One life of a gateway worker's spool, as far as billing sees it. */
export class Worker {
  readonly epoch: number;
  private readonly world: Pick<World, "bus" | "priceVersion">;
  private readonly nextSeq = new Map<number, number>();
  private requestNo = 0;

  private constructor(world: Pick<World, "bus" | "priceVersion">, epoch: number) {
    this.world = world;
    this.epoch = epoch;
  }

  static async open(world: Pick<World, "bus" | "priceVersion">, workerId = "worker-1"): Promise<Worker> {
    const answer = await world.bus.call(epochOpen, { workerId });
    if (!answer.ok) throw new Error("epoch refused");
    return new Worker(world, answer.value.epoch);
  }

  ask(accountId: AccountId, minimum: bigint, want: bigint = minimum, requestNo: number = ++this.requestNo) {
    return this.world.bus.call(leaseGrant, {
      epoch: this.epoch,
      requestNo,
      accountId,
      minimumMicroTokens: minimum,
      wantMicroTokens: want,
    });
  }

  async lease(accountId: AccountId, minimum: bigint, want: bigint = minimum): Promise<LeaseId> {
    const answer = await this.ask(accountId, minimum, want);
    if (!answer.ok) throw new Error(`lease refused: ${answer.code}`);
    return answer.value.leaseId;
  }

  private take(accountId: AccountId): number {
    const partition = usagePartitionOf(accountId);
    const seq = this.nextSeq.get(partition) ?? 1;
    this.nextSeq.set(partition, seq + 1);
    return seq;
  }

  /** Numbers the record; sends nothing. */
  usage(
    accountId: AccountId,
    leaseId: LeaseId,
    tokens: Partial<TokenCounts>,
    more: Partial<UsageRecord> = {},
  ): UsageRecord {
    const counts = { ...noTokens, ...tokens };
    const cost = priceUsage(model, tokensOnly(counts), []);
    return {
      type: "usage",
      seq: this.take(accountId),
      requestId: newId("req"),
      accountId,
      keyId: newId("key"),
      leaseId,
      route: "/v1/chat/completions",
      model: model.model,
      channel: "demo",
      status: "ok",
      httpStatus: 200,
      errorCode: null,
      streamed: true,
      tokens: counts,
      images: null,
      audioMs: 0,
      priceGroup: defaultPriceGroup,
      estimated: false,
      priceVersion: this.world.priceVersion,
      holdMicroTokens: cost * 2n,
      costMicroTokens: cost,
      startedAt: "2026-11-23T10:00:00.000Z",
      firstByteMs: 12,
      durationMs: 345,
      ...more,
    };
  }

  close(accountId: AccountId, leaseId: LeaseId, settled: bigint): SpoolRecord {
    return { type: "lease_close", seq: this.take(accountId), accountId, leaseId, settledMicroTokens: settled };
  }

  /** One envelope. Records must be of one partition. */
  async send(records: readonly SpoolRecord[], more: { id?: string } = {}): Promise<void> {
    const seqs = records.map((record) => record.seq);
    const partition = usagePartitionOf(records[0]?.accountId ?? "");
    const [first, last] = [Math.min(...seqs), Math.max(...seqs)];
    await this.world.bus.publish(usageEnvelope, {
      id: more.id ?? `${String(this.epoch)}-${String(partition)}-${String(first)}-${String(last)}`,
      params: { partition: String(partition) },
      data: { epoch: this.epoch, partition, first, last, records: [...records] },
    });
  }

  async watermark(partition: number): Promise<number> {
    const answer = await this.world.bus.call(watermarkGet, { epoch: this.epoch });
    if (!answer.ok) throw new Error("watermark refused");
    return answer.value.watermarks.find((mark) => mark.partition === partition)?.contiguous ?? 0;
  }

  async confirmed(partition: number, seq: number, timeoutMs = 5_000): Promise<void> {
    await eventually(async () => (await this.watermark(partition)) >= seq, {
      timeoutMs,
      what: `watermark ${String(seq)} of epoch ${String(this.epoch)}, partition ${String(partition)}`,
    });
  }
}

export type { AccountId, LeaseId };
