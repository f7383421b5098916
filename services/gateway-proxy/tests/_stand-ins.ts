import { connectBus, decodeEvent, rpcHandler, type Bus } from "@codex/bus";
import {
  accountTotalsGet,
  balanceGet,
  epochOpen,
  insufficientBalanceMetadata,
  jwksGet,
  keyReport,
  keyResolve,
  keyResolveV1,
  keyRevocations,
  keySpendGet,
  leaseGrant,
  leaseRecall,
  leaseRecover,
  leaseReturn,
  sessionCheckV2,
  usageEnvelope,
  usageGet,
  watermarkGet,
  type KeyLimits,
  type Role,
  type SpoolRecord,
  type UsageLine,
  type UsageRecord,
} from "@codex/contracts";
import {
  generateApiKey,
  hashApiKey,
  newId,
  ok,
  refuse,
  type AccountId,
  type KeyId,
  type LeaseId,
  type SessionId,
} from "@codex/kernel";
import { testLogger } from "@codex/testkit";
import { generateKeyPairSync, sign, type KeyObject } from "node:crypto";
import { setTimeout as delay } from "node:timers/promises";
import * as z from "zod";

/**
 * The gateway's neighbours, at the border of the contracts and with as little behind it as the gateway can tell. Each has a
 * connection of its own, so that it can be stopped and started like a process.
 */

function open(natsUrl: string, name: string): Promise<Bus> {
  return connectBus({ servers: [natsUrl], name }, { logger: testLogger(name), source: name });
}

interface Service {
  stop(): Promise<void>;
}

/** Something of the bus that can be taken away and brought back; what it knows stays. */
abstract class Switchable {
  protected readonly bus: Bus;
  private services: readonly Service[] = [];

  protected constructor(bus: Bus) {
    this.bus = bus;
  }

  protected abstract begin(): Promise<readonly Service[]>;

  async start(): Promise<void> {
    this.services = await this.begin();
  }

  async stop(): Promise<void> {
    const running = this.services;
    this.services = [];
    for (const service of running) await service.stop();
  }

  async close(): Promise<void> {
    await this.stop();
    await this.bus.drain();
  }
}

export class AuthStandIn extends Switchable {
  private readonly sessions = new Map<SessionId, { readonly accountId: AccountId; readonly role: Role }>();
  private readonly keys: { readonly privateKey: KeyObject; readonly publicKey: KeyObject };
  private readonly issuer: string;

  private constructor(bus: Bus, issuer: string) {
    super(bus);
    this.issuer = issuer;
    this.keys = generateKeyPairSync("ed25519");
  }

  static async start(natsUrl: string, issuer: string): Promise<AuthStandIn> {
    const made = new AuthStandIn(await open(natsUrl, "auth"), issuer);
    await made.start();
    return made;
  }

  /** The value of the session cookie of a new session. */
  signIn(role: Role): string {
    const sessionId = newId("ses");
    this.sessions.set(sessionId, { accountId: newId("acc"), role });
    const nowSeconds = Math.floor(Date.now() / 1_000);
    const part = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString("base64url");
    const header = part({ alg: "EdDSA", kid: "k1", typ: "session+jwt" });
    const claims = { sid: sessionId, iss: this.issuer, aud: "dashboard", iat: nowSeconds, exp: nowSeconds + 600 };
    const signed = `${header}.${part(claims)}`;
    return `${signed}.${sign(null, Buffer.from(signed), this.keys.privateKey).toString("base64url")}`;
  }

  protected async begin(): Promise<readonly Service[]> {
    const { x = "" } = this.keys.publicKey.export({ format: "jwk" });
    const service = await this.bus.serve({ name: "auth", version: "1.0.0", description: "stand-in" }, [
      rpcHandler(jwksGet, async () =>
        ok({ keys: [{ kty: "OKP", crv: "Ed25519", x, kid: "k1", alg: "EdDSA", use: "sig" }] }),
      ),
      rpcHandler(sessionCheckV2, async ({ req }) => {
        const session = this.sessions.get(req.sessionId);
        if (!session) return refuse("session_ended", "ended");
        const expiresAt = new Date(Date.now() + 600_000).toISOString();
        return ok({ sessionId: req.sessionId, ...session, expiresAt, authenticatedAt: new Date().toISOString() });
      }),
    ]);
    return [service];
  }
}

/** What an owner set of a key, beside its caps. */
export interface KeyRestrictions {
  readonly limits?: KeyLimits;
  readonly models?: string[];
  readonly allowedIps?: string[];
  /** RFC 3339. */
  readonly expiresAt?: string;
}

export class KeysStandIn extends Switchable {
  private readonly known = new Map<string, { readonly keyId: KeyId; readonly accountId: AccountId }>();
  private readonly revoked = new Set<string>();
  /** Of keys that have some. */
  readonly restrictions = new Map<KeyId, KeyRestrictions>();
  /** As a registry of the version before: answers nothing but the first version of the question. */
  isOld = false;
  /** Of keys that have some. */
  readonly caps = new Map<KeyId, { daily: bigint | null; monthly: bigint | null; total: bigint | null }>();

  static async start(natsUrl: string): Promise<KeysStandIn> {
    const made = new KeysStandIn(await open(natsUrl, "key-registry"));
    await made.start();
    return made;
  }

  /** A new key of the account. */
  issue(
    accountId: AccountId,
    caps?: { daily: bigint | null; monthly: bigint | null; total: bigint | null },
    restrictions?: KeyRestrictions,
  ): string {
    const key = generateApiKey("cx", "live");
    const keyId = newId("key");
    if (restrictions) this.restrictions.set(keyId, restrictions);
    this.known.set(hashApiKey(key), { keyId, accountId });
    if (caps) this.caps.set(keyId, caps);
    return key;
  }

  /** By the watched bucket alone: the RPC still says "active", as a registry would whose answer was on its way. */
  async revoke(key: string): Promise<void> {
    const hash = hashApiKey(key);
    const kv = await this.bus.kv(keyRevocations);
    await kv.put(hash, {
      keyId: this.known.get(hash)?.keyId ?? newId("key"),
      version: 2,
      revokedAt: new Date().toISOString(),
    });
  }

  /** What was reported as leaked. */
  readonly reports: { readonly keyHash: string; readonly via: string; readonly foundAt: string | null }[] = [];

  /** In the row alone: neither event nor bucket says it. */
  revokeInSilence(key: string): void {
    this.revoked.add(hashApiKey(key));
  }

  protected async begin(): Promise<readonly Service[]> {
    const first = rpcHandler(keyResolveV1, async ({ req }) => this.resolved(req.keyHash));
    const second = rpcHandler(keyResolve, async ({ req }) => {
      const known = this.resolved(req.keyHash);
      if (!known.ok) return known;
      return ok({ limits: null, allowedIps: null, ...known.value, ...this.restrictions.get(known.value.keyId) });
    });
    const reports = rpcHandler(keyReport, async ({ req }) => {
      this.reports.push(req);
      return ok({});
    });
    const description = { name: "key-registry", version: "1.0.0", description: "stand-in" };
    return [await this.bus.serve(description, this.isOld ? [first] : [first, second, reports])];
  }

  private resolved(hash: string) {
    const key = this.known.get(hash);
    if (!key) return refuse("unknown_key", "unknown");
    const caps = this.caps.get(key.keyId) ?? null;
    const isRevoked = this.revoked.has(hash);
    const state = isRevoked ? { status: "revoked" as const, version: 2 } : { status: "active" as const, version: 1 };
    return ok({ ...key, ...state, models: null, expiresAt: null, caps });
  }
}

interface StandInLease {
  readonly accountId: AccountId;
  readonly leaseId: LeaseId;
  granted: bigint;
  closed: boolean;
}

interface Ask {
  readonly epoch: number;
  readonly requestNo: number;
  readonly accountId: AccountId;
  readonly minimumMicroTokens: bigint;
  readonly wantMicroTokens: bigint;
}

/** Billing as a gateway sees it: balances, leases by (epoch, number), records by (epoch, partition, seq), watermarks. */
export class BillingStandIn extends Switchable {
  private epochs = 0;
  private readonly balances = new Map<AccountId, { paid: bigint; reserved: bigint }>();
  private readonly leases = new Map<string, StandInLease>();
  private readonly records = new Map<string, SpoolRecord>();
  private readonly contiguous = new Map<string, number>();
  /** In the stream: what was read is in the books above. */
  private position = 0;
  /** Records that came again, as they may; and those that came again as something else, as they must not. */
  duplicates = 0;
  readonly conflicts: string[] = [];
  leaseTtlMs = 60_000;
  /** Questions for what accounts got and spent in all. */
  totalsAsked = 0;
  /** Price groups of accounts that have one. */
  readonly groups = new Map<AccountId, string>();

  static async start(natsUrl: string): Promise<BillingStandIn> {
    const made = new BillingStandIn(await open(natsUrl, "billing-ledger"));
    await made.start();
    return made;
  }

  fund(accountId: AccountId, paid: bigint): void {
    this.balances.set(accountId, { paid, reserved: 0n });
  }

  balance(accountId: AccountId): { readonly paid: bigint; reserved: bigint } {
    return this.balances.get(accountId) ?? { paid: 0n, reserved: 0n };
  }

  /** Usage rows, one a request. */
  usage(accountId?: AccountId): readonly UsageRecord[] {
    return [...this.records.values()].filter(
      (record): record is UsageRecord =>
        record.type === "usage" && (accountId === undefined || record.accountId === accountId),
    );
  }

  protected async begin(): Promise<readonly Service[]> {
    const service = await this.bus.serve({ name: "billing-ledger", version: "1.0.0", description: "stand-in" }, [
      rpcHandler(balanceGet, async ({ req }) => {
        const { paid, reserved } = this.balance(req.accountId);
        return ok({
          paidMicroTokens: paid,
          bonusMicroTokens: 0n,
          heldMicroTokens: reserved,
          availableMicroTokens: paid - reserved,
        });
      }),
      rpcHandler(accountTotalsGet, async ({ req }) => {
        this.totalsAsked += 1;
        const { paid } = this.balance(req.accountId);
        const spent = this.usage(req.accountId).reduce((sum, { costMicroTokens }) => sum + costMicroTokens, 0n);
        return ok({ creditedMicroTokens: paid + spent, spentMicroTokens: spent });
      }),
      rpcHandler(keySpendGet, async ({ req }) => {
        const spent = this.usage()
          .filter(({ keyId }) => keyId === req.keyId)
          .reduce((sum, { costMicroTokens }) => sum + costMicroTokens, 0n);
        return ok({ dailyMicroTokens: spent, monthlyMicroTokens: spent, totalMicroTokens: spent });
      }),
      rpcHandler(usageGet, async ({ req }) => {
        const record = this.usage(req.accountId).find(({ requestId }) => requestId === req.requestId);
        if (!record) return refuse("unknown_request", "unknown");
        const { priceVersion, costMicroTokens: charged, ...line } = record;
        return ok({ usage: usageLineOf({ ...line, charged }), priceVersion, postedAt: new Date().toISOString() });
      }),
      rpcHandler(epochOpen, async () => ok({ epoch: (this.epochs += 1) })),
      rpcHandler(leaseGrant, async ({ req }) => this.grantOrRecall(req)),
      rpcHandler(leaseReturn, async ({ req }) => ok({ freedMicroTokens: this.giveBack(req) })),
      rpcHandler(leaseRecover, async ({ req }) => {
        const number = `${String(req.epoch)}-${String(req.requestNo)} `;
        const lease = [...this.leases].find(([key]) => key.startsWith(number))?.[1];
        return ok({ leaseId: lease?.leaseId ?? null });
      }),
      rpcHandler(watermarkGet, async ({ req }) =>
        ok({
          watermarks: [...this.contiguous]
            .map(([key, contiguous]) => ({ of: key.split("-").map(Number), contiguous }))
            .filter(({ of }) => of[0] === req.epoch)
            .map(({ of, contiguous }) => ({ partition: of[1] ?? 0, contiguous })),
        }),
      ),
    ]);
    const reader = this.bus.readStream({
      stream: usageEnvelope.stream,
      name: "stand-in",
      subject: "usage.v1.*",
      batchMax: 64,
      expiresMs: 1_000,
      lingerMs: 10,
      position: ({ lastSeq }) => {
        if (lastSeq < this.position) this.position = 0;
        return Promise.resolve(this.position);
      },
      onBatch: (messages) => {
        for (const message of messages) {
          const decoded = decodeEvent(usageEnvelope, message.data);
          if (!decoded.ok) throw new Error(`unreadable envelope: ${decoded.problem}`);
          const { epoch, partition, records } = decoded.value.data;
          for (const record of records) this.apply(epoch, partition, record);
          this.position = message.seq;
        }
        return Promise.resolve();
      },
    });
    return [reader, service];
  }

  private async grantOrRecall(ask: Ask) {
    const answer = this.grant(ask);
    if (answer.ok || this.balance(ask.accountId).reserved === 0n) return answer;
    this.bus.signal(leaseRecall, { params: { accountId: ask.accountId }, data: { accountId: ask.accountId } });
    await delay(100);
    return this.grant(ask);
  }

  private giveBack({
    leases,
  }: {
    readonly leases: readonly { leaseId: LeaseId; ceilingMicroTokens: bigint }[];
  }): bigint {
    let freed = 0n;
    for (const { leaseId, ceilingMicroTokens } of leases) {
      const lease = [...this.leases.values()].find((candidate) => candidate.leaseId === leaseId);
      if (!lease || lease.closed || lease.granted <= ceilingMicroTokens) continue;
      freed += lease.granted - ceilingMicroTokens;
      this.balance(lease.accountId).reserved -= lease.granted - ceilingMicroTokens;
      lease.granted = ceilingMicroTokens;
    }
    return freed;
  }

  private grant(ask: Ask) {
    const number = `${String(ask.epoch)}-${String(ask.requestNo)}`;
    const common = { ttlMs: this.leaseTtlMs, priceGroup: this.groups.get(ask.accountId) ?? "default" };
    const stored = [...this.leases].find(([key]) => key.startsWith(`${number} `))?.[1];
    if (stored) return ok({ leaseId: stored.leaseId, grantedMicroTokens: stored.granted, ...common });
    const balance = this.balances.get(ask.accountId) ?? { paid: 0n, reserved: 0n };
    const available = balance.paid - balance.reserved;
    if (available < ask.minimumMicroTokens) {
      const facts = { availableMicroTokens: available, heldMicroTokens: balance.reserved };
      return refuse("insufficient_balance", "too little", z.encode(insufficientBalanceMetadata, facts));
    }
    const most = available / 2n < ask.wantMicroTokens ? available / 2n : ask.wantMicroTokens;
    const granted = most < ask.minimumMicroTokens ? ask.minimumMicroTokens : most;
    const leaseId = newId("lse");
    this.balances.set(ask.accountId, { paid: balance.paid, reserved: balance.reserved + granted });
    this.leases.set(`${number} ${leaseId}`, { accountId: ask.accountId, leaseId, granted, closed: false });
    return ok({ leaseId, grantedMicroTokens: granted, ...common });
  }

  private apply(epoch: number, partition: number, record: SpoolRecord): void {
    const cursor = `${String(epoch)}-${String(partition)}`;
    const key = `${cursor}-${String(record.seq)}`;
    const present = this.records.get(key);
    if (present) {
      this.duplicates += 1;
      if (asText(present) !== asText(record)) this.conflicts.push(key);
      return;
    }
    this.records.set(key, record);
    let upTo = this.contiguous.get(cursor) ?? 0;
    while (this.records.has(`${cursor}-${String(upTo + 1)}`)) upTo += 1;
    this.contiguous.set(cursor, upTo);
    this.book(record);
  }

  /** In the order of arrival, which a lone consumer of an ordered spool may rely on. */
  private book(record: SpoolRecord): void {
    const balance = this.balances.get(record.accountId);
    const lease = [...this.leases.values()].find(({ leaseId }) => leaseId === record.leaseId);
    if (!balance || !lease) return;
    if (record.type === "usage") {
      balance.paid -= record.costMicroTokens;
      balance.reserved -= record.costMicroTokens;
    } else if (!lease.closed) {
      lease.closed = true;
      balance.reserved -= lease.granted - record.settledMicroTokens;
    }
  }
}

function usageLineOf(
  line: Omit<UsageRecord, "priceVersion" | "costMicroTokens"> & { readonly charged: bigint },
): UsageLine {
  const { requestId, keyId, route, model, status, httpStatus, errorCode, streamed, tokens, images, audioMs } = line;
  const { estimated, charged, startedAt, firstByteMs, durationMs } = line;
  return {
    requestId,
    keyId,
    route,
    model,
    status,
    httpStatus,
    errorCode,
    streamed,
    tokens,
    images,
    audioMs,
    estimated,
    charged,
    refunded: 0n,
    startedAt,
    firstByteMs,
    durationMs,
  };
}

function asText(record: SpoolRecord): string {
  return JSON.stringify(record, (_name, value: unknown) => (typeof value === "bigint" ? `${String(value)}n` : value));
}
