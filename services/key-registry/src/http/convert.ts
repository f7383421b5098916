import type { ApiKey } from "@codex/contracts";
import type { StoredKey } from "../app/ports.ts";

export function toApiKey(key: StoredKey): ApiKey {
  return {
    keyId: key.keyId,
    name: key.name,
    prefix: key.displayPrefix,
    status: key.status,
    caps: key.caps,
    limits: key.limits,
    models: key.models === null ? null : [...key.models],
    allowedIps: key.allowedIps === null ? null : [...key.allowedIps],
    createdAt: key.createdAt.toISOString(),
    revokedAt: key.revokedAt === null ? null : key.revokedAt.toISOString(),
  };
}
