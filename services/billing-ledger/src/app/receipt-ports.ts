import type { AccountId, RequestId, TransferId } from "@codex/kernel";

/** What receipts need from the outside. */

export interface ReceiptTransfer {
  readonly transferId: TransferId;
  readonly bucket: "bonus" | "paid";
}

export interface ReceiptTransfers {
  /** What the request's batch took from the account, bonus before paid; empty when there is no such request of this account. */
  ofRequest(accountId: AccountId, requestId: RequestId): Promise<readonly ReceiptTransfer[]>;
}

export interface PublicKeyOfReceipts {
  /** RFC 7638 thumbprint. */
  readonly kid: string;
  /** Base64url of the 32 public bytes. */
  readonly x: string;
}

/** A key as it is stored: the private half sealed, and gone once the key is retired. */
export interface StoredReceiptKey extends PublicKeyOfReceipts {
  readonly sealed: string;
  readonly createdAt: Date;
}

export interface ReceiptKeyStore {
  /** The key that signs; undefined before the first. */
  current(): Promise<StoredReceiptKey | undefined>;
  /**
   * Makes `next` the key that signs, if the current one still is `expected`; answers the one that signs now. The private
   * half of the old one is deleted in the same transaction. One of several replicas at once wins.
   */
  replace(
    expected: string | undefined,
    next: PublicKeyOfReceipts & { readonly sealed: string },
  ): Promise<StoredReceiptKey>;
  /** Of all keys there ever were, newest first. */
  published(): Promise<readonly PublicKeyOfReceipts[]>;
}

/** Signs with the current key; throws when its private half cannot be opened. */
export interface ReceiptSigner {
  /** Compact JWS of the claims plus `iss` and `iat`. */
  sign(accountId: AccountId, receipt: object): Promise<string>;
}
