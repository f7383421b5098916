import * as z from "zod";
import { idOf } from "../codecs.ts";
import { usageReceipt } from "./billing.ts";

/** RFC 8725 §3.11: a receipt can never be taken for a session or for any other token of ours. */
export const receiptTokenType = "receipt+jwt";

/**
 * Payload of a signed receipt, a compact JWS by Ed25519. The protected header has `alg`, `typ` ({@link receiptTokenType})
 * and `kid`, a key of {@link receiptJwks}.
 */
export const signedReceipt = z.strictObject({
  /** The origin of the service. */
  iss: z.url(),
  /** The account that was charged. */
  sub: idOf("acc"),
  /** Seconds since 1970. */
  iat: z.number().int(),
  /** As the route of the receipt answers it. */
  receipt: usageReceipt,
});

/** RFC 7517 key set of all receipt keys there ever were, newest first: an old receipt stays verifiable. `kid` is RFC 7638. */
export const receiptJwks = z.strictObject({
  keys: z.array(
    z.strictObject({
      kty: z.literal("OKP"),
      crv: z.literal("Ed25519"),
      x: z.string(),
      kid: z.string(),
      alg: z.literal("EdDSA"),
      use: z.literal("sig"),
    }),
  ),
});
