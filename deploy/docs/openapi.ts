import { openApiDocument } from "@codex/http";
import { registries } from "./registries.ts";

/** File name below docs/contracts/openapi → text. */
export function openApiFiles(): ReadonlyMap<string, string> {
  return new Map(
    Object.entries(registries).map(([service, routes]) => [
      `${service}.json`,
      `${JSON.stringify(openApiDocument(service, routes()), null, 2)}\n`,
    ]),
  );
}
