import { receiptTokenType } from "@codex/contracts";
import { AppError, sealSecret, unsealSecret, type Clock } from "@codex/kernel";
import { calculateJwkThumbprint, exportJWK, SignJWT } from "jose";
import { createHash, createPrivateKey, generateKeyPairSync, type KeyObject } from "node:crypto";
import type { ReceiptKeyStore, ReceiptSigner, StoredReceiptKey } from "../app/receipt-ports.ts";

/**
 * Keys of signed receipts (docs/adr/0010): Ed25519, made here, the private half sealed under a setting and bound to its
 * kid. Retired keys lose their private half and stay published for ever.
 */

/** How long a replica signs with a key after another one has replaced it. */
const refreshMs = 30_000;

export interface ReceiptKeys extends ReceiptSigner {
  /** Replaces the key when there is none or it is older than `ageMaxMs`; true when it did. Any replica may call it at any time. */
  rotateIfOld(ageMaxMs: number): Promise<boolean>;
}

interface OpenKey {
  readonly kid: string;
  readonly privateKey: KeyObject;
  readonly openedAtMs: number;
}

export function createReceiptKeys(deps: {
  readonly store: ReceiptKeyStore;
  /** At least 32 bytes of a setting. */
  readonly secret: string;
  readonly issuer: string;
  readonly clock: Clock;
}): ReceiptKeys {
  const { store, issuer, clock } = deps;
  const sealingKey = createHash("sha256").update(deps.secret).digest();
  let open: OpenKey | undefined;

  const make = async (expected: string | undefined): Promise<StoredReceiptKey> => {
    const pair = generateKeyPairSync("ed25519");
    const { x } = await exportJWK(pair.publicKey);
    if (x === undefined) throw new Error("public key without coordinate");
    const kid = await calculateJwkThumbprint({ kty: "OKP", crv: "Ed25519", x });
    const pem = pair.privateKey.export({ type: "pkcs8", format: "pem" });
    return store.replace(expected, { kid, x, sealed: sealSecret(pem, sealingKey, contextOf(kid)) });
  };
  const signingKey = async (): Promise<OpenKey> => {
    const nowMs = clock.monotonicMs();
    if (open && nowMs - open.openedAtMs < refreshMs) return open;
    const stored = (await store.current()) ?? (await make(undefined));
    open = { kid: stored.kid, privateKey: unseal(stored, sealingKey), openedAtMs: nowMs };
    return open;
  };
  return {
    async sign(accountId, receipt) {
      const key = await signingKey();
      return new SignJWT({ receipt })
        .setProtectedHeader({ alg: "EdDSA", typ: receiptTokenType, kid: key.kid })
        .setIssuer(issuer)
        .setSubject(accountId)
        .setIssuedAt(Math.floor(clock.now().getTime() / 1_000))
        .sign(key.privateKey);
    },
    async rotateIfOld(ageMaxMs) {
      const current = await store.current();
      if (current && clock.now().getTime() - current.createdAt.getTime() < ageMaxMs) return false;
      const next = await make(current?.kid);
      open = undefined;
      return next.kid !== current?.kid;
    },
  };
}

/** Throws `service_unavailable`: the key was sealed under another setting, and an operator has to rotate it. */
function unseal({ kid, sealed }: StoredReceiptKey, sealingKey: Buffer): KeyObject {
  try {
    return createPrivateKey(unsealSecret(sealed, sealingKey, contextOf(kid)));
  } catch (cause) {
    throw new AppError({
      kind: "unavailable",
      code: "service_unavailable",
      publicMessage: "Receipts cannot be signed at the moment. The receipt itself can be read.",
      retryAfterSeconds: 60,
      cause,
    });
  }
}

function contextOf(kid: string): string {
  return `receipt-key:${kid}`;
}
