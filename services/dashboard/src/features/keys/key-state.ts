import type { ApiKey } from "@codex/contracts";

/**
 * What a key is to its owner.
 *   active    it works
 *   expired   its end has come
 *   replaced  it was rolled, and works beside its successor until its end
 *   retired   it was rolled, and its end has come
 *   revoked   it was ended
 */
export const keyStates = ["active", "expired", "replaced", "retired", "revoked"] as const;
export type KeyState = (typeof keyStates)[number];

export function keyState(key: Pick<ApiKey, "status" | "expiresAt" | "replacedBy">, now: number): KeyState {
  if (key.status === "revoked") return "revoked";
  const isOver = key.expiresAt !== null && Date.parse(key.expiresAt) <= now;
  if (key.replacedBy !== null) return isOver ? "retired" : "replaced";
  return isOver ? "expired" : "active";
}

/** A request with it is answered still, so revoking it means something. */
export function works(state: KeyState): boolean {
  return state === "active" || state === "replaced";
}

/** Of the keys that work, each tag once, in order. */
export function tagsOf(keys: readonly ApiKey[]): readonly string[] {
  return [...new Set(keys.flatMap(({ tags }) => tags))].toSorted();
}
