import type { IncomingMessage } from "node:http";
import type { ClientHeaders } from "../../domain/endpoint.ts";

/** The client's headers of these names; none is longer, or holds other characters, than its purpose needs (SEC-84). */
export function clientHeaders({ headers }: IncomingMessage, names: readonly string[]): ClientHeaders {
  const allowed: Record<string, string> = {};
  for (const name of names) {
    const value = headers[name];
    if (typeof value === "string" && /^[\w .,:;=/-]{1,2048}$/.test(value)) allowed[name] = value;
  }
  return allowed;
}
