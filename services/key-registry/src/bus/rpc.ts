import { rpcHandler, type RpcHandler } from "@codex/bus";
import { keyResolve } from "@codex/contracts";
import { ok, refuse } from "@codex/kernel";
import type { KeyStore } from "../app/ports.ts";

/** The answers of this service on the bus. */
export function keyRpcs(store: KeyStore): readonly RpcHandler[] {
  return [
    rpcHandler(keyResolve, async ({ req }) => {
      const key = await store.findByHash(req.keyHash);
      if (!key) return refuse("unknown_key", "no key has this hash");
      const { keyId, accountId, status, version, models, expiresAt, caps } = key;
      return ok({
        keyId,
        accountId,
        status,
        version,
        models: models === null ? null : [...models],
        expiresAt: expiresAt === null ? null : expiresAt.toISOString(),
        caps,
      });
    }),
  ];
}
