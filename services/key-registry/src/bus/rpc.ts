import { rpcHandler, type RpcHandler } from "@codex/bus";
import { keyReport, keyResolve, keyResolveV1, keyUsesReport } from "@codex/contracts";
import { ok, refuse } from "@codex/kernel";
import type { KeyPorts } from "../app/manage-keys.ts";
import { reportKey } from "../app/revoke-keys.ts";
import type { StoredKey } from "../app/ports.ts";

/** The answers of this service on the bus. */
export function keyRpcs(ports: Pick<KeyPorts, "store" | "tombstones" | "onTombstoneFault">): readonly RpcHandler[] {
  const { store } = ports;
  return [
    rpcHandler(keyReport, async ({ req: { keyHash: hash, via, foundAt } }) => {
      await reportKey(ports, { hash, via, foundAt });
      return ok({});
    }),
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
