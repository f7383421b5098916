import type { ApiKey } from "@codex/contracts";
import type { StoredKey } from "../app/ports.ts";

export function toApiKey(key: StoredKey): ApiKey {
  return {
    keyId: key.keyId,
    name: key.name,
    prefix: key.displayPrefix,
    environment: key.environment,
    tags: [...key.tags],
    status: key.status,
    caps: key.caps,
    limits: key.limits,
    models: key.models === null ? null : [...key.models],
    allowedIps: key.allowedIps === null ? null : [...key.allowedIps],
    expiresAt: toApiInstant(key.expiresAt),
    lastUsedAt: toApiInstant(key.lastUsedAt),
    lastUsedClient: key.lastUsedClient,
    replacedBy: key.replacedBy,
    createdAt: key.createdAt.toISOString(),
    revokedAt: toApiInstant(key.revokedAt),
  };
}

function toApiInstant(date: Date | null): string | null {
  return date === null ? null : date.toISOString();
}

/** What may be set, with the end as a time. */
export function fromApiSettings<Body extends { readonly expiresAt?: string | null | undefined }>({
  expiresAt,
  ...settings
}: Body): Omit<Body, "expiresAt"> & { readonly expiresAt: Date | null | undefined } {
  return { ...settings, expiresAt: typeof expiresAt === "string" ? new Date(expiresAt) : expiresAt };
}
