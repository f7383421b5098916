import { rpcHandler, type RpcHandler } from "@codex/bus";
import { keyResolve, keyResolveV1, keyUsesReport } from "@codex/contracts";
import { ok, refuse } from "@codex/kernel";
import type { KeyStore, StoredKey } from "../app/ports.ts";

/** The answers of this service on the bus. */
export function keyRpcs(store: KeyStore): readonly RpcHandler[] {
  return [
    rpcHandler(keyResolve, async ({ req }) => {
      const key = await store.findByHash(req.keyHash);
      if (!key) return refuse("unknown_key", "no key has this hash");
      const { limits, allowedIps } = key;
      return ok({ ...ownedOf(key), limits, allowedIps: allowedIps === null ? null : [...allowedIps] });
    }),
    rpcHandler(keyResolveV1, async ({ req }) => {
      const key = await store.findByHash(req.keyHash);
      return key ? ok(ownedOf(key)) : refuse("unknown_key", "no key has this hash");
    }),
    rpcHandler(keyUsesReport, async ({ req }) => {
      await store.used(req.uses.map(({ hour, ...use }) => ({ ...use, hour: new Date(hour) })));
      return ok({});
    }),
  ];
}

function ownedOf({ keyId, accountId, status, version, models, expiresAt, caps }: StoredKey) {
  return {
    keyId,
    accountId,
    status,
    version,
    models: models === null ? null : [...models],
    expiresAt: expiresAt === null ? null : expiresAt.toISOString(),
    caps,
  };
}
