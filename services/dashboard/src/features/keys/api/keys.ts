import {
  keyCreated,
  keyList,
  keyResponse,
  keyRolled,
  keyShown,
  type ApiKey,
  type keyChangeBody,
  type keyCreateBody,
} from "@codex/contracts";
import { queryOptions, useMutation, useQueryClient, type UseMutationResult } from "@tanstack/react-query";
import type * as z from "zod";
import { request } from "../../../shared/api-client.ts";

/** The account's keys, newest first. Bodies are in the form of the wire: amounts as decimal strings. */
export const keysQuery = queryOptions({
  queryKey: ["keys"],
  // Ends come and uses are reported while the page is open.
  refetchInterval: 60_000,
  queryFn: async () => (await request({ method: "GET", path: "/api/keys", response: keyList })).keys,
});

function useKeyChange<Ask, Answer>(send: (ask: Ask) => Promise<Answer>): UseMutationResult<Answer, Error, Ask> {
  const client = useQueryClient();
  return useMutation({
    mutationFn: send,
    // Also after a refusal: whatever was shown may be out of date.
    onSettled: () => client.invalidateQueries({ queryKey: keysQuery.queryKey }),
  });
}

export type KeyDraft = z.input<typeof keyCreateBody>;

export function useCreateKey(): UseMutationResult<z.output<typeof keyCreated>, Error, KeyDraft> {
  return useKeyChange((draft: KeyDraft) =>
    request({ method: "POST", path: "/api/keys", body: draft, response: keyCreated }),
  );
}

export interface KeyChange {
  readonly keyId: string;
  readonly change: z.input<typeof keyChangeBody>;
}

export function useChangeKey(): UseMutationResult<ApiKey, Error, KeyChange> {
  return useKeyChange(async ({ keyId, change }: KeyChange) => {
    const path = `/api/keys/${keyId}`;
    return (await request({ method: "PATCH", path, body: change, response: keyResponse })).key;
  });
}

export interface Roll {
  readonly keyId: string;
  readonly overlapSeconds: number;
}

export function useRollKey(): UseMutationResult<z.output<typeof keyRolled>, Error, Roll> {
  return useKeyChange(({ keyId, overlapSeconds }: Roll) =>
    request({ method: "POST", path: `/api/keys/${keyId}/roll`, body: { overlapSeconds }, response: keyRolled }),
  );
}

/** Only where repeat display is on; the service counts how often. */
export function useShowKey(): UseMutationResult<string, Error, string> {
  return useMutation({
    mutationFn: async (keyId: string) =>
      (await request({ method: "POST", path: `/api/keys/${keyId}/show`, response: keyShown })).secret,
  });
}

/** Keys that one request can name. */
const atOnceMax = 100;

/** Of one key or of many; what was revoked before stays so. */
export function useRevokeKeys(): UseMutationResult<unknown, Error, readonly string[]> {
  return useKeyChange(async (keyIds: readonly string[]) => {
    for (let start = 0; start < keyIds.length; start += atOnceMax) {
      const body = { keyIds: keyIds.slice(start, start + atOnceMax) };
      await request({ method: "POST", path: "/api/keys/revoke", body, response: keyList });
    }
  });
}
