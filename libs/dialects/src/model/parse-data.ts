import { isObject, type JsonObject } from "./dialect.ts";
import type { Fault } from "./events.ts";

/** The JSON object of an event; undefined for anything else. */
export function parseData(data: string): JsonObject | undefined {
  try {
    const value: unknown = JSON.parse(data);
    return isObject(value) ? value : undefined;
  } catch {
    return undefined;
  }
}

/** Longest text of a provider that a log gets. */
const detailLengthMax = 1_000;

export function upstreamFault(detail: string): Fault {
  return { kind: "upstream", detail: detail.slice(0, detailLengthMax) };
}

export const cutFault = upstreamFault("the stream ended before the answer did");

export function textOr(value: unknown, otherwise: string): string {
  return typeof value === "string" ? value : otherwise;
}

export function objectOr(value: unknown): JsonObject {
  return isObject(value) ? value : {};
}

export function listOr(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : [];
}
