import { keyCreated, keyList, keyResponse } from "@codex/contracts";
import { queryOptions, useMutation, useQueryClient, type UseMutationResult } from "@tanstack/react-query";
import type * as z from "zod";
import { request } from "../../../shared/api-client.ts";

export const keysQuery = queryOptions({
  queryKey: ["keys"],
  queryFn: async () => (await request({ method: "GET", path: "/api/keys", response: keyList })).keys,
});

export function useCreateKey(): UseMutationResult<z.output<typeof keyCreated>, Error, string> {
  const client = useQueryClient();
  return useMutation({
    mutationFn: (name: string) => request({ method: "POST", path: "/api/keys", body: { name }, response: keyCreated }),
    onSuccess: () => client.invalidateQueries({ queryKey: keysQuery.queryKey }),
  });
}

export function useRevokeKey(): UseMutationResult<z.output<typeof keyResponse>, Error, string> {
  const client = useQueryClient();
  return useMutation({
    mutationFn: (keyId: string) =>
      request({ method: "POST", path: `/api/keys/${keyId}/revoke`, body: {}, response: keyResponse }),
    onSuccess: () => client.invalidateQueries({ queryKey: keysQuery.queryKey }),
  });
}
