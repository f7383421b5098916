import type { Bus } from "@codex/bus";
import type { Db } from "@codex/db";
import { systemClock, type AccountId, type RequestId, type Scope } from "@codex/kernel";
import { expireBonuses } from "./app/expire-bonuses.ts";
import { lookForLowBalances, setAlerts } from "./app/low-balance-alerts.ts";
import { approveVoucherBatch, createVoucherBatch, revokeVoucherBatch } from "./app/manage-vouchers.ts";
import { readMonthlyStatement } from "./app/read-monthly-statement.ts";
import { readReceipt } from "./app/read-receipt.ts";
import { redeemVoucher } from "./app/redeem-voucher.ts";
import { refundByCommand } from "./app/refund-by-command.ts";
import { toBusBalanceLow } from "./bus/balance-low.ts";
import { withVerdict } from "./bus/command-verdicts.ts";
import { refundDurable, refundHandler } from "./bus/refund-consumer.ts";
import { createReceiptKeys } from "./crypto/receipt-signer.ts";
import type { AlertRouteDeps } from "./http/alert-routes.ts";
import type { BonusRouteDeps } from "./http/bonus-routes.ts";
import type { ReceiptRouteDeps } from "./http/receipt-routes.ts";
import type { StatementRouteDeps } from "./http/statement-routes.ts";
import type { VoucherRouteDeps } from "./http/voucher-routes.ts";
import { createAlertStore } from "./store/alert-store.ts";
import { createBonusStore } from "./store/bonus-store.ts";
import { createReceiptKeyStore, createReceiptTransfers } from "./store/receipt-store.ts";
import { createRefundCommandStore } from "./store/refund-command-store.ts";
import { createStatementStore } from "./store/statement-store.ts";
import { createUsageExportStore } from "./store/usage-export-store.ts";
import { createVoucherStore } from "./store/voucher-store.ts";
import type { PriceStore } from "./app/ports.ts";
import type { BillingConfig } from "./config.ts";
import type { CustomerEvents } from "./customer-events.ts";
import { startRounds } from "./rounds.ts";
import type { EncodeBalanceChanged } from "./store/ledger-store.ts";
import { createVerdictStore } from "./store/verdict-store.ts";
import { withRefunds } from "./store/refund-store.ts";
import type { Tables } from "./store/schema.ts";
import { createUsageStore } from "./store/usage-store.ts";

/** The part of the composition that serves customers beside spending: receipts, statement, vouchers, alerts, bonus. */

export interface CustomerParts {
  readonly config: BillingConfig;
  readonly scope: Scope;
  readonly db: Db<Tables>;
  readonly bus: Bus;
  readonly prices: PriceStore;
  readonly customers: CustomerEvents;
  readonly encode: EncodeBalanceChanged;
}

const rotationRoundMs = 3_600_000;
const dayMs = 86_400_000;

/** What the routes need; starts the jobs that belong to them. */
export function customerParts(
  parts: CustomerParts,
): ReceiptRouteDeps & StatementRouteDeps & VoucherRouteDeps & AlertRouteDeps & BonusRouteDeps {
  return {
    ...receiptParts(parts),
    ...statementParts(parts),
    ...voucherParts(parts),
    ...alertParts(parts),
    ...bonusParts(parts),
  };
}

/** Receipts and the key that signs them, looked after once an hour. */
function receiptParts({ config, scope, db, prices, customers }: CustomerParts): ReceiptRouteDeps {
  const usage = withRefunds(createUsageStore(db), db);
  const transfers = createReceiptTransfers(db);
  const store = createReceiptKeyStore(db);
  const signer = createReceiptKeys({
    store,
    secret: config.receiptKey.reveal(),
    issuer: config.publicOrigin,
    clock: systemClock,
  });
  const rotation = startRounds({
    everyMs: rotationRoundMs,
    round: async () => {
      await signer.rotateIfOld(config.receiptKeyDays * dayMs);
    },
    onFailure: (error) => customers.receiptKeyFailed(error),
  });
  scope.defer("receipt key rotation", () => rotation.stop());
  return {
    readReceipt: (accountId: AccountId, requestId: RequestId) =>
      readReceipt({ usage, prices, transfers }, accountId, requestId),
    receiptSigner: signer,
    receiptKeys: store,
  };
}

function statementParts({ db }: CustomerParts): StatementRouteDeps {
  const store = createStatementStore(db);
  return {
    statements: store,
    usageExport: createUsageExportStore(db),
    readMonthlyStatement: (accountId, month) => readMonthlyStatement({ store, clock: systemClock }, accountId, month),
  };
}

function voucherParts({ config, db, encode, customers }: CustomerParts): VoucherRouteDeps {
  const deps = { vouchers: createVoucherStore(db, encode), events: customers };
  return {
    voucherStore: deps.vouchers,
    createVoucherBatch: (ask) =>
      createVoucherBatch({ ...deps, fourEyesAbove: config.operations.voucherFourEyesAbove }, ask),
    approveVoucherBatch: (ask) => approveVoucherBatch(deps, ask),
    revokeVoucherBatch: (ask) => revokeVoucherBatch(deps, ask),
    redeemVoucher: (accountId, code) => redeemVoucher(deps, accountId, code),
  };
}

/** Low-balance alerts: their settings, and the rounds that look for them. */
function alertParts({ config, scope, db, bus, customers }: CustomerParts): AlertRouteDeps {
  const store = createAlertStore(db, (alert) => toBusBalanceLow(bus, alert));
  const rounds = startRounds({
    everyMs: config.alertRoundMs,
    round: (signal) =>
      lookForLowBalances({ store, clock: systemClock, onFired: (count) => customers.alertsFired(count) }, signal),
    onFailure: (error) => customers.alertRoundFailed(error),
  });
  scope.defer("low-balance alerts", () => rounds.stop());
  return { alerts: store, setAlerts: (accountId, wanted) => setAlerts(store, accountId, wanted) };
}

/** Bonus that expires: what is left, and the rounds that take it back. */
function bonusParts({ config, scope, db, encode, customers }: CustomerParts): BonusRouteDeps {
  const store = createBonusStore(db, encode);
  const rounds = startRounds({
    everyMs: config.bonusExpiryRoundMs,
    round: (signal) => expireBonuses({ store, onExpired: (accounts) => customers.bonusesExpired(accounts) }, signal),
    onFailure: (error) => customers.bonusExpiryFailed(error),
  });
  scope.defer("bonus expiry", () => rounds.stop());
  return { bonuses: store };
}

/** Refunds that other services ask for. */
export async function startRefundCommands({ scope, db, bus, encode, customers }: CustomerParts): Promise<void> {
  const refunds = createRefundCommandStore(db, encode);
  const onRefund = (reason: string, outcome: string): void => customers.refundedByCommand(reason, outcome);
  const consumer = await bus.consume({
    stream: "COMMANDS",
    durable: refundDurable,
    events: [
      withVerdict(
        createVerdictStore(db),
        refundHandler((ask) => refundByCommand({ refunds, onRefund }, ask)),
      ),
    ],
  });
  scope.defer("refund consumer", () => consumer.stop());
}
