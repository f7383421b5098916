import type { Bus } from "@codex/bus";
import { keyRevocations } from "@codex/contracts";
import type { Tombstones } from "../app/ports.ts";

/** Revocations in the watched bucket, under the key's hash. Writing the same one twice changes nothing that matters. */
export async function tombstoneBucket(bus: Bus): Promise<Tombstones> {
  let kv = await bus.kv(keyRevocations);
  return {
    async restore() {
      kv = await bus.kv(keyRevocations);
    },
    async put({ hash, keyId, version, revokedAt }) {
      await kv.put(hash, { keyId, version, revokedAt: (revokedAt ?? new Date()).toISOString() });
    },
    has: async (hash) => (await kv.get(hash)) !== null,
  };
}
