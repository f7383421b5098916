import { accountAction, credentialAction, keyAction } from "@codex/contracts";
import type { i18n, TFunction } from "i18next";

/** Of money; see billing-ledger's README. */
const billingActions = [
  "adjustment_posted",
  "refund_posted",
  "proposal_made",
  "proposal_approved",
  "proposal_rejected",
  "dispute_claimed",
  "dispute_released",
  "dispute_message",
  "dispute_refunded",
  "dispute_rejected",
  "voucher_batch_created",
  "voucher_batch_revoked",
  "voucher_batch_approved",
  "price_version_created",
  "price_version_cancelled",
  "price_group_set",
] as const;

/** Of upstreams; see gateway-proxy's README. */
const gatewayActions = [
  "channel.created",
  "channel.updated",
  "channel.enabled",
  "channel.draining",
  "channel.disabled",
  "channel.deleted",
  "channel.key_added",
  "channel.key_removed",
  "channel.key_enabled",
  "channel.key_disabled",
  "channel.keys_rewrapped",
] as const;

/** Every action of an audit log that has words of ours. */
export const knownActions: readonly string[] = [
  ...accountAction.options,
  ...credentialAction.options,
  ...keyAction.options,
  ...billingActions,
  ...gatewayActions,
];

/** A full stop would be a step into a group of texts. */
export const actKey = (action: string): string => action.replaceAll(".", "_");

/** What was done, in words; an action of a newer service as it is called. */
export function actText(t: TFunction, { exists }: Pick<i18n, "exists">, action: string): string {
  return exists(`act.${actKey(action)}`) ? t(`act.${actKey(action)}`) : action;
}
