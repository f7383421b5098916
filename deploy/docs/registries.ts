import { authRoutes } from "@codex/auth";
import { billingRoutes } from "@codex/billing-ledger";
import { operatorRoutes } from "@codex/gateway-proxy";
import type { Route } from "@codex/http";
import { imageRoutes } from "@codex/image-cache";
import { keyRoutes } from "@codex/key-registry";
import { bonusRoutes } from "@codex/telegram-bonus";

/** A route is declared without touching its ports; whoever asks one for anything here has found a defect. */
const nothing = new Proxy<never>(Object.create(null) as never, {
  get: (_target, name) => {
    throw new Error(`a route declaration used the port ${String(name)}`);
  },
});

/** Service → its routes as it serves them. A service with HTTP of its own must be here: its documents and the abuse suite come from it. */
export const registries: Readonly<Record<string, () => readonly Route[]>> = {
  auth: () => authRoutes(nothing, nothing, nothing, nothing),
  "billing-ledger": () => billingRoutes(nothing),
  "gateway-proxy": () => operatorRoutes(nothing, nothing),
  "image-cache": () => imageRoutes(nothing),
  "key-registry": () => keyRoutes(nothing, nothing),
  "telegram-bonus": () => bonusRoutes(nothing),
};
