import { outboxMigration, type Migration } from "@codex/db";
import { createLedger } from "./20261123T1000-create-ledger.ts";
import { createUsage } from "./20261123T1010-create-usage.ts";
import { createPriceBook } from "./20261123T1020-create-price-book.ts";
import { createMoneyFunctions } from "./20261123T1030-create-money-functions.ts";
import { createApplyBatch } from "./20261123T1040-create-apply-batch.ts";
import { restrictApplicationRole } from "./20261123T1050-restrict-application-role.ts";
import { moneyFoundation } from "./20261125T1000-money-foundation.ts";
import { usageStorage, usageViews } from "./20261125T1100-usage-storage.ts";
import { ingestPosition } from "./20261125T1110-ingest-position.ts";
import { batchParts } from "./20261125T1115-batch-parts.ts";
import { applyBatch } from "./20261125T1120-apply-batch.ts";
import { entryGuards } from "./20261125T1130-entry-guards.ts";
import { leaseLifecycle } from "./20261125T1200-lease-lifecycle.ts";
import { moneyMachine } from "./20261125T1300-money-machine.ts";
import { pendingTransfers } from "./20261125T1310-pending-transfers.ts";
import { operations } from "./20261125T1320-operations.ts";
import { disputes } from "./20261125T1330-disputes.ts";
import { decideProposals } from "./20261125T1340-decide-proposals.ts";
import { receiptKeys } from "./20261125T1400-receipt-keys.ts";
import { statementFunctions } from "./20261125T1410-statement.ts";
import { vouchers } from "./20261125T1420-vouchers.ts";
import { lowBalanceAlerts } from "./20261125T1430-low-balance-alerts.ts";
import { bonusExpiry } from "./20261125T1440-bonus-expiry.ts";
import { redeemWithoutQueue } from "./20261125T1450-redeem-without-queue.ts";
import { refundByCommand } from "./20261125T1460-refund-by-command.ts";
import { priceClasses } from "./20261125T1500-price-classes.ts";
import { auditor } from "./20261125T1600-auditor.ts";
import { ledgerSeal } from "./20261125T1610-ledger-seal.ts";
import { usageAppendOnly } from "./20261125T1620-usage-append-only.ts";
import { voucherFourEyes } from "./20261126T1020-voucher-four-eyes.ts";
import { disputeReplies } from "./20261126T1010-dispute-replies.ts";
import { commandVerdicts } from "./20261126T1000-command-verdicts.ts";
import { accountBlocks } from "./20261126T1030-account-blocks.ts";
import { applyBatchAlone } from "./20261126T1100-apply-batch-alone.ts";
import { moneyAuditLog } from "./20261127T0200-audit-log.ts";
import { commandEntries } from "./20261127T0300-command-entries.ts";
import { highestKnown } from "./20261127T0400-highest-known.ts";
import { usageLines } from "./20261127T0500-usage-lines.ts";
import { leaseClosed } from "./20261127T0600-lease-closed.ts";
import { firstSealDay } from "./20261127T0700-first-seal-day.ts";
import { ingestMarks } from "./20261127T0800-ingest-marks.ts";

/** Every migration, oldest first. A file that has been merged is never edited; a mistake is corrected by the next one. */
export const migrations: readonly Migration[] = [
  { name: "20261123T1000_create_ledger", up: createLedger },
  { name: "20261123T1010_create_usage", up: createUsage },
  { name: "20261123T1020_create_price_book", up: createPriceBook },
  { name: "20261123T1030_create_money_functions", up: createMoneyFunctions },
  { name: "20261123T1040_create_apply_batch", up: createApplyBatch },
  outboxMigration("20261123T1045_create_outbox"),
  { name: "20261123T1050_restrict_application_role", up: restrictApplicationRole },
  { name: "20261125T1000_money_foundation", up: moneyFoundation },
  { name: "20261125T1100_usage_storage", up: usageStorage + usageViews },
  { name: "20261125T1110_ingest_position", up: ingestPosition },
  { name: "20261125T1115_batch_parts", up: batchParts },
  { name: "20261125T1120_apply_batch", up: applyBatch },
  { name: "20261125T1130_entry_guards", up: entryGuards },
  { name: "20261125T1200_lease_lifecycle", up: leaseLifecycle },
  { name: "20261125T1300_money_machine", up: moneyMachine },
  { name: "20261125T1310_pending_transfers", up: pendingTransfers },
  { name: "20261125T1320_operations", up: operations },
  { name: "20261125T1330_disputes", up: disputes },
  { name: "20261125T1340_decide_proposals", up: decideProposals },
  { name: "20261125T1400_receipt_keys", up: receiptKeys },
  { name: "20261125T1410_statement", up: statementFunctions },
  { name: "20261125T1420_vouchers", up: vouchers },
  { name: "20261125T1430_low_balance_alerts", up: lowBalanceAlerts },
  { name: "20261125T1440_bonus_expiry", up: bonusExpiry },
  { name: "20261125T1450_redeem_without_queue", up: redeemWithoutQueue },
  { name: "20261125T1460_refund_by_command", up: refundByCommand },
  { name: "20261125T1500_price_classes", up: priceClasses },
  { name: "20261125T1600_auditor", up: auditor, additive: true },
  { name: "20261125T1610_ledger_seal", up: ledgerSeal, additive: true },
  { name: "20261125T1620_usage_append_only", up: usageAppendOnly, additive: true },
  { name: "20261126T1000_command_verdicts", up: commandVerdicts, additive: true },
  { name: "20261126T1010_dispute_replies", up: disputeReplies, additive: true },
  { name: "20261126T1020_voucher_four_eyes", up: voucherFourEyes, additive: true },
  { name: "20261126T1030_account_blocks", up: accountBlocks, additive: true },
  { name: "20261126T1100_apply_batch_alone", up: applyBatchAlone, additive: true },
  moneyAuditLog,
  { name: "20261127T0300_command_entries", transactional: false, up: commandEntries, additive: true },
  { name: "20261127T0400_highest_known", up: highestKnown, additive: true },
  { name: "20261127T0500_usage_lines", up: usageLines, additive: true },
  { name: "20261127T0600_lease_closed", transactional: false, up: leaseClosed, additive: true },
  { name: "20261127T0700_first_seal_day", up: firstSealDay, additive: true },
  { name: "20261127T0800_ingest_marks", up: ingestMarks, additive: true },
];
