import { securityOverview, type ReauthenticationProof } from "@codex/contracts";
import { queryOptions, useMutation, useQueryClient, type UseMutationResult } from "@tanstack/react-query";
import { request } from "../../../shared/api-client.ts";
import { askPasskey } from "../../../shared/passkeys.ts";

/** By which of the account's factors the person can prove who it is. Asked anew each time: a factor may have been added. */
export const factorsQuery = queryOptions({
  queryKey: ["factors"],
  gcTime: 0,
  queryFn: () => request({ method: "GET", path: "/api/auth/security", response: securityOverview }),
});

/** "passkey": the browser is asked for one. */
export type Proof = Exclude<ReauthenticationProof, { passkey: unknown }> | "passkey";

export function useProve(): UseMutationResult<unknown, Error, Proof> {
  const client = useQueryClient();
  return useMutation({
    mutationFn: async (proof: Proof) =>
      request({
        method: "POST",
        path: "/api/auth/reauthenticate",
        body: proof === "passkey" ? await askPasskey(false) : proof,
      }),
    onSuccess: () => client.invalidateQueries({ queryKey: ["security"] }),
  });
}
