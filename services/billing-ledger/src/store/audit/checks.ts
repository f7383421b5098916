import { actChecks } from "./act-checks.ts";
import { balanceChecks } from "./balance-checks.ts";
import type { AuditCheck } from "./check.ts";
import { refundChecks } from "./refund-checks.ts";
import { reservationChecks } from "./reservation-checks.ts";
import { transferChecks } from "./transfer-checks.ts";
import { usageChecks } from "./usage-checks.ts";

/** All that must hold of the books; docs/adr/0011 tells which is which. */
export const auditChecks: readonly AuditCheck[] = [
  ...balanceChecks,
  ...usageChecks,
  ...reservationChecks,
  ...transferChecks,
  ...refundChecks,
  ...actChecks,
];
