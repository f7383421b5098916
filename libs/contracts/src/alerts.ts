import * as z from "zod";
import { idOf, instant, microTokens } from "./codecs.ts";
import { defineEvent } from "./define.ts";

export const balanceLow = defineEvent({
  stream: "EVENTS",
  type: "balance.low",
  version: 1,
  pattern: "evt.balance.low.v1.{accountId}",
  description:
    "An account's money fell below a threshold of its owner's choosing. Said once a crossing; a drop through several thresholds says each. The event id is the alert's.",
  data: z.strictObject({
    accountId: idOf("acc"),
    thresholdMicroTokens: microTokens,
    /** paid + bonus at the moment of the look, below the threshold. */
    balanceMicroTokens: microTokens,
    firedAt: instant,
  }),
});
