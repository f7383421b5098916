import { connectBus, startOutboxRelay, type Bus } from "@codex/bus";
import { leaseRecall, leaseRecalled, priceBookKv } from "@codex/contracts";
import { assertMigrated, listActs, openDb, outboxSource, type Db } from "@codex/db";
import { createBusSessionVerifier, createHttpApp, listen } from "@codex/http";
import { systemClock, type AccountId, type Scope } from "@codex/kernel";
import type { RunningService, ServiceContext } from "@codex/runtime";
import { adjustAccount, previewOf } from "./app/adjust-account.ts";
import { applyUsage } from "./app/apply-usage.ts";
import { refundByRule } from "./app/auto-refund.ts";
import { blockAccount } from "./app/block-account.ts";
import { creditAccount } from "./app/credit-account.ts";
import { decideProposal } from "./app/decide-proposal.ts";
import {
  assignDispute,
  messageDispute,
  openDispute,
  replyToDispute,
  resolveDispute,
  withdrawDispute,
} from "./app/dispute.ts";
import { grantLease } from "./app/grant-lease.ts";
import { importPrices } from "./app/import-prices.ts";
import type { PriceGroupStore, PriceVersionStore } from "./app/price-ports.ts";
import { previewPrices } from "./app/preview-prices.ts";
import { setPriceGroup } from "./app/set-price-group.ts";
import { watchStalePrices } from "./app/stale-prices.ts";
import { Recalls } from "./app/recalls.ts";
import { reclaimLeases } from "./app/reclaim-leases.ts";
import type { LedgerStore } from "./app/ports.ts";
import { readBalance } from "./app/read-balance.ts";
import { refundUsage } from "./app/refund-usage.ts";
import { startAuditor } from "./auditor.ts";
import { publishBalances, toBusBalanceChanged } from "./bus/balance-changed.ts";
import { blockDurable, blockHandler } from "./bus/block-consumer.ts";
import { verdictRpc, withVerdict } from "./bus/command-verdicts.ts";
import { grantDurable, grantHandler } from "./bus/grant-consumer.ts";
import { startPricePublisher } from "./bus/price-publisher.ts";
import { leaseRpcs } from "./bus/lease-rpc.ts";
import { ledgerRpcs, type LedgerRpcDeps } from "./bus/rpc.ts";
import { startUsageAgent } from "./bus/usage-agent.ts";
import { replayMargin, trimUsageStream } from "./bus/usage-trimmer.ts";
import type { BillingConfig } from "./config.ts";
import { customerParts, startRefundCommands } from "./customer-parts.ts";
import { customerEvents, type CustomerEvents } from "./customer-events.ts";
import { billingEvents, type BillingEvents } from "./events.ts";
import { billingRoutes, type OperationRouteDeps } from "./http/routes.ts";
import type { PriceRouteDeps } from "./http/price-routes.ts";
import { operationEvents } from "./operation-events.ts";
import { startRounds } from "./rounds.ts";
import { createAccountBlockStore } from "./store/account-block-store.ts";
import { createDisputeStore } from "./store/dispute-store.ts";
import { createDirtyBalances, ensureUsageDays } from "./store/usage-aftermath.ts";
import { createLedgerStore, type EncodeBalanceChanged } from "./store/ledger-store.ts";
import { migrations } from "./store/migrations/index.ts";
import { createOperationsStore } from "./store/operations-store.ts";
import { createLeaseStore } from "./store/lease-store.ts";
import { createPriceStore } from "./store/price-store.ts";
import { createRefundScanStore, withRefunds } from "./store/refund-store.ts";
import { schema, type Tables } from "./store/schema.ts";
import { createUsageScan } from "./store/usage-scan.ts";
import { readAccountTotals } from "./store/account-totals.ts";
import { readKeySpend } from "./store/key-spend.ts";
import { createUsageStore } from "./store/usage-store.ts";
import { createVerdictStore } from "./store/verdict-store.ts";
import { openWriterSession } from "./store/writer-session.ts";

/** Connections for questions and grants; the writers have theirs beside. */
const readConnectionsMax = 10;
/** Of each kind in one round; the next round takes the rest. */
const expiryBatchMax = 200;

interface Parts {
  readonly config: BillingConfig;
  readonly scope: Scope;
  readonly db: Db<Tables>;
  readonly bus: Bus;
  readonly prices: PriceVersionStore & PriceGroupStore;
  readonly events: BillingEvents;
  readonly customers: CustomerEvents;
  readonly encode: EncodeBalanceChanged;
}

/** Builds and starts the ledger; the only file that constructs. */
export async function start(ctx: ServiceContext<BillingConfig>): Promise<RunningService> {
  const { config, scope, logger, health, telemetry } = ctx;
  const events = billingEvents(logger, telemetry.meter);
  const db = openDb<Tables>({
    url: config.databaseUrl,
    schema,
    applicationName: "billing-ledger",
    connectionsMax: readConnectionsMax + config.usageWriters,
    onConnectionError: (error) => logger.warn("database connection lost", { error }),
  });
  scope.defer("database", () => db.close());
  await assertMigrated(db, schema, migrations);
  health.addCheck("postgres", () => db.ping());
  const bus = await connectBus(
    { servers: config.natsServers, name: config.common.instanceId },
    { logger, source: "billing-ledger" },
  );
  scope.defer("bus", () => bus.drain());
  health.addCheck("nats", () => bus.ping());
  await bus.ensureTopology();

  const outbox = outboxSource(db);
  const relay = await startOutboxRelay({ source: outbox, bus, logger });
  scope.defer("outbox relay", () => relay.stop());
  telemetry.meter
    .createObservableGauge("billing_outbox_age_ms", { description: "Age of the oldest event that is not published" })
    .addCallback(async (result) => {
      result.observe(await outbox.ageMs());
    });
  const parts: Parts = {
    config,
    scope,
    db,
    bus,
    prices: createPriceStore(db),
    events,
    customers: customerEvents(logger, telemetry.meter),
    encode: (balance) => toBusBalanceChanged(bus, balance),
  };
  await startPrices(parts);
  await startLedger(parts);
  startAuditor({ config, scope, logger, meter: telemetry.meter });
  return startHttp(ctx, parts);
}

async function startPrices({ config, scope, bus, prices, events }: Parts): Promise<void> {
  const publisher = await startPricePublisher({
    kv: await bus.kv(priceBookKv),
    prices,
    pollMs: config.pricePollMs,
    onPublished: (version) => events.pricesPublished(version),
    onFailure: (error) => events.pricePublishFailed(error),
  });
  scope.defer("price publisher", () => publisher.stop());
}

/** What gateways may ask of the books. */
function booksOf(db: Parts["db"], ledger: LedgerStore): LedgerRpcDeps {
  return {
    ledger,
    readBalance: (accountId) => readBalance({ ledger, clock: systemClock }, accountId),
    usage: createUsageStore(db),
    accountTotals: readAccountTotals(db),
    keySpend: readKeySpend(db),
  };
}

/** Usage, grants, and what gateways ask. */
async function startLedger(parts: Parts): Promise<void> {
  const { config, scope, db, bus, prices, events, encode } = parts;
  const ledger = createLedgerStore(db, encode);
  const leases = createLeaseStore(db, encode);
  const verdicts = createVerdictStore(db);
  const { leaseTtlMs, leaseReclaimEveryMs } = config;
  const recall = (accountId: AccountId): void =>
    bus.signal(leaseRecall, { params: { accountId }, data: { accountId } });
  const recalls = new Recalls(recall);
  const answers = await bus.onSignal(leaseRecalled, ({ accountId, epoch }) => recalls.heard(accountId, epoch));
  scope.defer("recall answers", () => answers.stop());
  for (let writer = 1; writer <= config.usageWriters; writer += 1) {
    const agent = startUsageAgent({
      bus,
      openSession: () => openWriterSession(db),
      apply: async (session, received) => {
        await applyUsage({ prices, events }, session, received);
        await watchStalePrices({ prices, events, toleranceMs: config.priceStaleMs }, received.records);
      },
      lingerMs: config.usageLingerMs,
      roundMs: config.usageRoundMs,
      onFailure: (error) => events.usageAgentFailed(error),
    });
    scope.defer(`usage agent ${String(writer)}`, () => agent.stop());
  }
  startUsageRounds({ config, scope, db, bus, events, encode });
  const grants = await bus.consume({
    stream: "COMMANDS",
    durable: grantDurable,
    events: [
      withVerdict(
        verdicts,
        grantHandler((request) => creditAccount({ ledger, events }, request)),
      ),
    ],
  });
  scope.defer("grant consumer", () => grants.stop());
  await startBlocks(parts, recall);
  await startRefundCommands(parts);
  const rpc = await bus.serve(
    {
      name: "billing-ledger",
      version: "1.0.0",
      description: "Balances, leases and watermarks",
      // A refusal waits for recalled money, which takes a slot and no connection.
      concurrencyMax: 512,
    },
    [
      verdictRpc(verdicts),
      ...ledgerRpcs(booksOf(db, ledger)),
      ...leaseRpcs({
        ledger,
        leases,
        clock: systemClock,
        grantLease: (request, signal) => grantLease({ leases, events, recalls, leaseTtlMs }, request, signal),
        onReturned: (freed) => events.leasesReturned(freed),
      }),
    ],
  );
  scope.defer("rpc", () => rpc.stop());
  const reclaim = startRounds({
    everyMs: leaseReclaimEveryMs,
    round: async (signal) => {
      await reclaimLeases({ leases, events }, { unseenForMs: config.leaseReclaimAfterMs }, signal);
    },
    onFailure: (error) => events.reclaimFailed(error),
  });
  scope.defer("lease reclaim", () => reclaim.stop());
}

/** What operators decide about accounts. */
async function startBlocks(
  { scope, db, bus }: Pick<Parts, "scope" | "db" | "bus">,
  recall: (accountId: AccountId) => void,
): Promise<void> {
  const blocks = createAccountBlockStore(db);
  const consumer = await bus.consume({
    stream: "EVENTS",
    durable: blockDurable,
    events: [blockHandler((decision) => blockAccount({ blocks, recall }, decision))],
  });
  scope.defer("block consumer", () => consumer.stop());
}

const trimRoundMs = 10_000;
const dayRoundMs = 600_000;
/** Bounds what one round publishes; the rest waits for the next, and is newer then. */
const balancesMax = 1_000;

/** What usage leaves behind: balances to tell about, a stream to trim, tomorrow's table. */
function startUsageRounds({ config, scope, db, bus, events, encode }: Omit<Parts, "prices" | "customers">): void {
  const dirty = createDirtyBalances(db);
  const { positions } = createLeaseStore(db, encode);
  const verdicts = createVerdictStore(db);
  const jobs = {
    "balance publisher": {
      everyMs: config.balanceRoundMs,
      round: async () => {
        await dirty.publishNewest(balancesMax, (balances) => publishBalances(bus, balances));
      },
    },
    "usage trimmer": {
      everyMs: trimRoundMs,
      round: async () => {
        await trimUsageStream({ bus, floors: positions, margin: replayMargin });
      },
    },
    "usage days": { everyMs: dayRoundMs, round: () => ensureUsageDays(db) },
    "command verdicts": {
      everyMs: dayRoundMs,
      round: async () => {
        await verdicts.prune();
      },
    },
  };
  for (const [name, job] of Object.entries(jobs)) {
    const rounds = startRounds({ ...job, onFailure: (error) => events.usageRoundFailed(name, error) });
    scope.defer(name, () => rounds.stop());
  }
}

/** Operators' money, refunds and disputes: the jobs started, the use cases for the routes. */
function startOperations(
  { config, scope, logger, telemetry }: ServiceContext<BillingConfig>,
  { db, encode }: Parts,
): Omit<OperationRouteDeps, "usage"> {
  const { fourEyes, disputeRules: rules, refundRules, autoRefundPollMs, expiryPollMs } = config.operations;
  const operations = createOperationsStore(db, encode);
  const disputes = createDisputeStore(db, encode);
  const clock = systemClock;
  const events = operationEvents(logger, telemetry.meter, () => disputes.waiting(clock.now()));
  const deps = { operations, disputes, events, clock, fourEyes, rules };
  const scan = createRefundScanStore(db);
  const refunds = startRounds({
    everyMs: autoRefundPollMs,
    round: (signal) => refundByRule({ scan, operations, events, rules: refundRules }, signal),
    onFailure: (error) => events.jobFailed("auto_refund", error),
  });
  scope.defer("automatic refunds", () => refunds.stop());
  const expiry = startRounds({
    everyMs: expiryPollMs,
    round: async () => events.expired(await operations.expire(expiryBatchMax)),
    onFailure: (error) => events.jobFailed("expiry", error),
  });
  scope.defer("expiry", () => expiry.stop());
  return {
    operations,
    disputes,
    clock,
    adjustAccount: (...ask) => adjustAccount(deps, ...ask),
    previewAdjustment: (...ask) => previewOf(deps, ...ask),
    refundUsage: (...ask) => refundUsage(deps, ...ask),
    decideProposal: (...ask) => decideProposal(deps, ...ask),
    openDispute: (...ask) => openDispute(deps, ...ask),
    replyToDispute: (...ask) => replyToDispute(deps, ...ask),
    withdrawDispute: (...ask) => withdrawDispute(deps, ...ask),
    assignDispute: (...ask) => assignDispute(deps, ...ask),
    messageDispute: (...ask) => messageDispute(deps, ...ask),
    resolveDispute: (...ask) => resolveDispute(deps, ...ask),
  };
}

async function startHttp(ctx: ServiceContext<BillingConfig>, parts: Parts): Promise<RunningService> {
  const { config, scope, logger } = ctx;
  const { db, bus, encode } = parts;
  const ledger = createLedgerStore(db, encode);
  const usage = withRefunds(createUsageStore(db), db);
  const { app } = createHttpApp({
    service: "billing-ledger",
    routes: billingRoutes({
      readActs: (filter, limit) => listActs(db, filter, limit),
      readBalance: (accountId: AccountId) => readBalance({ ledger, clock: systemClock }, accountId),
      ...customerParts(parts),
      ...priceParts(parts),
      usage,
      prices: parts.prices,
      ...startOperations(ctx, parts),
    }),
    sessions: createBusSessionVerifier(bus, config.publicOrigin),
    logger,
    publicOrigin: config.publicOrigin,
    trustedProxyCount: config.trustedProxyCount,
    production: config.common.nodeEnv === "production",
  });
  const server = await listen(app, { host: config.common.httpHost, port: config.common.httpPort });
  scope.defer("http", () => server.close());
  return { httpPort: server.port, httpUrl: `http://${config.common.httpHost}:${String(server.port)}` };
}

function priceParts({ db, prices }: Parts): PriceRouteDeps {
  const usage = createUsageScan(db);
  return {
    priceVersions: prices,
    importPrices: (models, options) => importPrices(prices, models, options),
    previewPrices: oneAtATime((ask, signal) => previewPrices({ usage, clock: systemClock }, ask, signal)),
    setPriceGroup: (ask) => setPriceGroup(prices, ask),
  };
}

/** Holds a connection for as long as it runs, so a replica has one of them. */
function oneAtATime<A extends readonly unknown[], R>(
  work: (...args: A) => Promise<R>,
): (...args: A) => Promise<R | "busy"> {
  let running = false;
  return async (...args) => {
    if (running) return "busy";
    running = true;
    try {
      return await work(...args);
    } finally {
      running = false;
    }
  };
}
