import * as z from "zod";
import { epoch, requestNo } from "./billing.ts";
import { idOf, microTokens } from "./codecs.ts";
import { defineRpc, defineSignal } from "./define.ts";

/**
 * What happens to a lease between its grant and its close. docs/adr/0008 tells why money may come back without the fence
 * when the worker names a ceiling, and why it may not otherwise.
 *
 * Glossary
 *   recall   billing asks every worker to give back what it does not use of one account
 *   ceiling  the most that can ever be charged on a lease: what it has spent and what its running requests hold
 *   burn     to make a request number unusable, so that an ask that is still under way cannot be granted any more
 */

export const leaseRecall = defineSignal({
  pattern: "sig.billing.lease-recall.v1.{accountId}",
  description:
    "An ask of this account is about to be refused while money is reserved: give back what no request uses, by lease.return.",
  data: z.strictObject({ accountId: idOf("acc") }),
});

/** Not sent by a worker that holds nothing of the account: billing knows whose leases are open. */
export const leaseRecalled = defineSignal({
  pattern: "sig.gateway.lease-recalled.v1.{accountId}",
  description:
    "A worker with leases of the account has heard the recall and returned what it could: a refusal need not wait for it any more.",
  data: z.strictObject({ accountId: idOf("acc"), epoch }),
});

export const leaseReturn = defineRpc({
  subject: "rpc.billing.lease.return.v1",
  description:
    "Lowers leases to a ceiling and frees the difference at once. A ceiling never rises, so repeats and any order are harmless.",
  timeoutMs: 2_000,
  req: z.strictObject({
    epoch,
    accountId: idOf("acc"),
    leases: z
      .array(z.strictObject({ leaseId: idOf("lse"), ceilingMicroTokens: microTokens }))
      .min(1)
      .max(256),
  }),
  res: z.strictObject({ freedMicroTokens: microTokens }),
  errors: [],
});

export const leaseRecover = defineRpc({
  subject: "rpc.billing.lease.recover.v1",
  description:
    "For a worker that died while it asked: the lease that was granted under the number, or none, and then the number is burnt. Idempotent.",
  timeoutMs: 2_000,
  req: z.strictObject({ epoch, requestNo, accountId: idOf("acc") }),
  res: z.strictObject({ leaseId: idOf("lse").nullable() }),
  errors: ["unknown_epoch"],
});
