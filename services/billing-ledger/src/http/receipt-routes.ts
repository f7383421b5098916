import { idOf, receiptJwks, usageReceipt } from "@codex/contracts";
import { defineRoute, notFound, type Route } from "@codex/http";
import type { AccountId, RequestId } from "@codex/kernel";
import { z } from "zod";
import type { Receipt } from "../app/read-receipt.ts";
import type { ReceiptKeyStore, ReceiptSigner } from "../app/receipt-ports.ts";
import { toApiReceipt } from "./convert.ts";

export interface ReceiptRouteDeps {
  readonly readReceipt: (accountId: AccountId, requestId: RequestId) => Promise<Receipt | undefined>;
  readonly receiptSigner: ReceiptSigner;
  readonly receiptKeys: Pick<ReceiptKeyStore, "published">;
}

const read = { method: "GET", rateClass: "read", bodyLimitBytes: 0, logClass: "standard" } as const;
const params = z.strictObject({ requestId: idOf("req") });

/** Receipts: plain, signed, and the keys that verify them. */
export function receiptRoutes(deps: ReceiptRouteDeps): readonly Route[] {
  return [
    defineRoute({
      ...read,
      auth: "session",
      owner: "account",
      operationId: "getReceipt",
      path: "/api/billing/usage/:requestId",
      summary: "How the charge of one request came about",
      request: { params },
      responses: { 200: usageReceipt },
      errors: ["not_found"],
      handler: async ({ principal, params: { requestId } }) => {
        const receipt = await deps.readReceipt(principal.accountId, requestId);
        if (!receipt) throw notFound();
        return { status: 200, body: toApiReceipt(receipt) };
      },
    }),
    defineRoute({
      ...read,
      auth: "session",
      owner: "account",
      operationId: "getSignedReceipt",
      path: "/api/billing/usage/:requestId/receipt.jws",
      summary: "The receipt as a compact JWS (EdDSA), to be verified with the published key set",
      request: { params },
      responses: { 200: null },
      media: { 200: "application/jose" },
      errors: ["not_found"],
      handler: async ({ principal, params: { requestId } }) => {
        const receipt = await deps.readReceipt(principal.accountId, requestId);
        if (!receipt) throw notFound();
        const claims = usageReceipt.encode(toApiReceipt(receipt));
        return {
          status: 200,
          content: await deps.receiptSigner.sign(principal.accountId, claims),
          headers: { "content-disposition": `attachment; filename="${requestId}.jws"` },
        };
      },
    }),
    defineRoute({
      ...read,
      auth: "public",
      owner: "none",
      operationId: "getReceiptKeys",
      path: "/api/billing/.well-known/jwks.json",
      summary: "The public keys of all signed receipts, retired ones as well",
      request: {},
      responses: { 200: receiptJwks },
      errors: [],
      handler: async () => {
        const keys = await deps.receiptKeys.published();
        return {
          status: 200,
          body: {
            keys: keys.map(({ kid, x }) => ({ kty: "OKP", crv: "Ed25519", x, kid, alg: "EdDSA", use: "sig" })),
          },
          headers: { "cache-control": "public, max-age=300" },
        };
      },
    }),
  ];
}
