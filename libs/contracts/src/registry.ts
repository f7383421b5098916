import * as alerts from "./alerts.ts";
import * as auth from "./auth.ts";
import * as billing from "./billing.ts";
import * as bonus from "./bonus.ts";
import type { EventDef, KvDef, RpcDef, SignalDef } from "./define.ts";
import * as gateway from "./gateway.ts";
import * as images from "./images.ts";
import * as keys from "./keys.ts";
import * as leases from "./leases.ts";
import * as pricing from "./pricing.ts";
import * as usageQuery from "./usage-query.ts";

const modules = [alerts, auth, billing, bonus, gateway, images, keys, leases, pricing, usageQuery];

function collect(kind: "event" | "rpc" | "kv" | "signal"): unknown[] {
  return modules.flatMap((module) =>
    Object.values(module as Readonly<Record<string, unknown>>).filter(
      (value) => typeof value === "object" && value !== null && "kind" in value && value.kind === kind,
    ),
  );
}

/** Everything that is declared, found by walking the modules, so that a declaration cannot be forgotten in a list. */
export const allEvents = collect("event") as readonly EventDef[];
export const allRpcs = collect("rpc") as readonly RpcDef[];
export const allKvs = collect("kv") as readonly KvDef[];
export const allSignals = collect("signal") as readonly SignalDef[];
