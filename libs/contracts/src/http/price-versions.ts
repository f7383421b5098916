import * as z from "zod";
import { amount, count, idOf, instant } from "../codecs.ts";
import { modelPrice, priceBook, priceGroupName } from "../pricing.ts";

/**
 * Price versions, for operators. Rates here are as in a price file: decimal strings of micro-tokens. docs/prices.md tells
 * what each field means.
 */

/** What an operator writes: the list, and when it becomes the version in force (now when absent or null). */
export const priceFile = z.strictObject({
  models: priceBook.shape.models,
  groups: priceBook.shape.groups,
  effectiveAt: instant.nullish(),
});
export type PriceFile = z.infer<typeof priceFile>;

export const priceVersionState = z.enum(["scheduled", "in_force", "superseded", "cancelled"]);

export const priceVersionHead = z.strictObject({
  version: idOf("prc"),
  effectiveAt: instant,
  createdAt: instant,
  /** Null: by the command line. */
  createdBy: idOf("acc").nullable(),
  models: count,
  state: priceVersionState,
});

/** Newest effective time first. `nextCursor` is the last version of the page; null on the last page. */
export const priceVersionList = z.strictObject({
  versions: z.array(priceVersionHead),
  nextCursor: idOf("prc").nullable(),
});
export const priceVersionQuery = z.strictObject({
  limit: z.coerce.number().int().min(1).max(200).default(50),
  cursor: idOf("prc").optional(),
});

export const priceVersion = z.strictObject({
  ...priceVersionHead.shape,
  prices: z.array(modelPrice),
  groups: priceBook.shape.groups,
});

/** `created: false`: the version in force at that time says the same, and nothing was made. */
export const priceVersionMade = z.strictObject({ version: idOf("prc"), effectiveAt: instant, created: z.boolean() });

/** Why; kept with who did it. */
const why = z.string().trim().min(3).max(500);
export const priceVersionCancelBody = z.strictObject({ reason: why });

/** A list to try on past usage. Yesterday, in UTC, when no times are given; at most 31 days. */
export const pricePreviewBody = z.strictObject({
  models: priceBook.shape.models,
  groups: priceBook.shape.groups,
  from: instant.optional(),
  to: instant.optional(),
});

export const pricePreview = z.strictObject({
  from: instant,
  /** Not included. */
  to: instant,
  /** By the largest difference. `new…` are null when the list has no price for a model that was used. */
  models: z.array(
    z.strictObject({
      model: z.string(),
      requests: count,
      /** As it was charged, within the holds of that time. */
      charged: amount,
      /** What the list makes of the same usage. */
      newCharged: amount.nullable(),
      difference: amount.nullable(),
      /** Requests for which more would be charged than was held: with the list in force their hold would be larger. */
      overHold: count,
      /** Accounts that would have paid another amount. */
      accountsAffected: count,
    }),
  ),
  /** Over the models that the list has a price for. */
  totals: z.strictObject({
    requests: count,
    charged: amount,
    newCharged: amount,
    difference: amount,
    accountsAffected: count,
  }),
  unpriced: z.array(z.string()),
  /** False when the time limit ended the reading: the numbers then cover a part of the usage. */
  complete: z.boolean(),
});

export const accountPriceGroupBody = z.strictObject({ group: priceGroupName, reason: why });
export const accountPriceGroup = z.strictObject({
  accountId: idOf("acc"),
  before: priceGroupName,
  group: priceGroupName,
});
