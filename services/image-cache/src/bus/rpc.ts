import { rpcHandler, type RpcHandler } from "@codex/bus";
import { imageQuota } from "@codex/contracts";
import { ok } from "@codex/kernel";
import { readQuota, type QuotaPorts } from "../app/read-quota.ts";

/** The answers of this service on the bus. */
export function imageRpcs(ports: QuotaPorts): readonly RpcHandler[] {
  return [rpcHandler(imageQuota, async ({ req }) => ok(await readQuota(ports, req.accountId)))];
}
