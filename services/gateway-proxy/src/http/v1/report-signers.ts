import { AppError } from "@codex/kernel";
import { createPublicKey, verify, type KeyObject } from "node:crypto";
import { readFileSync } from "node:fs";
import type { IncomingHttpHeaders } from "node:http";
import { z } from "zod";

/**
 * Public keys that sign reports of leaked keys, in the form that GitHub publishes its own (secret scanning partner programme,
 * https://docs.github.com/en/code-security/secret-scanning/secret-scanning-partnership-program/secret-scanning-partner-program,
 * read 2026-11): ECDSA on P-256 with SHA-256 over the body as it came.
 */
export type ReportSigners = ReadonlyMap<string, KeyObject>;

const fileForm = z.object({
  public_keys: z
    .array(z.object({ key_identifier: z.string().min(1).max(200), key: z.string().max(2_000) }))
    .min(1)
    .max(20),
});

/** Throws an Error that names the file and what is wrong with it. */
export function readReportSigners(file: string): ReportSigners {
  try {
    const { public_keys: entries } = fileForm.parse(JSON.parse(readFileSync(file, "utf8")));
    return new Map(
      entries.map(({ key_identifier: id, key }) => {
        const publicKey = createPublicKey(key);
        if (publicKey.asymmetricKeyType !== "ec") throw new Error(`key ${id} is not an elliptic curve key`);
        return [id, publicKey];
      }),
    );
  } catch (error) {
    throw new Error(`GATEWAY_KEY_REPORT_SIGNERS_FILE: ${file} does not hold public keys as GitHub lists them`, {
      cause: error,
    });
  }
}

/** True: signed by one of them. False: not signed at all. Throws AppError for a signature that is not good. */
export function isSigned(signers: ReportSigners, headers: IncomingHttpHeaders, body: Buffer): boolean {
  const id = headers["github-public-key-identifier"];
  const signature = headers["github-public-key-signature"];
  if (id === undefined && signature === undefined) return false;
  const key = typeof id === "string" ? signers.get(id) : undefined;
  const isGood =
    key !== undefined &&
    typeof signature === "string" &&
    verify("sha256", body, key, Buffer.from(signature.slice(0, 1_000), "base64"));
  if (!isGood) throw badSignature();
  return true;
}

function badSignature(): AppError {
  return new AppError({
    kind: "forbidden",
    code: "report_signature_invalid",
    publicMessage:
      "The signature is not one of a reporter that is known here. A report needs none: the key itself is enough.",
  });
}
