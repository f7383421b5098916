import { rolesWith } from "@codex/contracts";
import type { Result } from "@codex/kernel";
import { appError, notFound } from "@codex/http";
import type { StoredChannel } from "../../app/ports.ts";
import { toApiChannel } from "./convert.ts";

export const operatorsOnly = {
  auth: "operator",
  roles: rolesWith("channels.manage"),
  owner: "none",
  logClass: "standard",
} as const;

type Refusable = "not_found" | "conflict" | "invalid_request";

export function refuseBy(code: Refusable, message: string): Error {
  return code === "not_found" ? notFound() : appError(code, message);
}

/** The changed channel, or the error of its refusal. */
export function answerWith(result: Result<StoredChannel, Refusable>, status: 200 | 201) {
  if (!result.ok) throw refuseBy(result.code, result.message);
  return { status, body: { channel: toApiChannel(result.value) } };
}
