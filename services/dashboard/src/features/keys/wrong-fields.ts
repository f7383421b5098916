import { ApiError } from "../../shared/api-client.ts";
import { fieldAt, type KeyField } from "./key-form.ts";

/** The fields that the service named in its refusal. */
export function wrongFields(error: Error): ReadonlySet<KeyField> {
  const named = error instanceof ApiError ? (error.problem?.errors ?? []) : [];
  return new Set(named.map(({ pointer }) => fieldAt(pointer)));
}
