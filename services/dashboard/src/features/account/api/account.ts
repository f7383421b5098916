import {
  accountResponse,
  consentList,
  mailSent,
  ownAuditLineList,
  type Account,
  type Language,
  type OwnAuditLine,
} from "@codex/contracts";
import {
  infiniteQueryOptions,
  queryOptions,
  useMutation,
  useQueryClient,
  type UseMutationResult,
} from "@tanstack/react-query";
import { request } from "../../../shared/api-client.ts";
import { nextPage, type Log, type Progress } from "../../../shared/merged-audit.ts";
import { sessionQuery } from "../../../shared/session.ts";

export const consentsQuery = queryOptions({
  queryKey: ["consents"],
  queryFn: async () => (await request({ method: "GET", path: "/api/auth/consents", response: consentList })).consents,
});

const logOf =
  (service: "auth" | "keys" | "billing"): Log<OwnAuditLine> =>
  (cursor) => {
    const after = cursor === undefined ? "" : `&cursor=${encodeURIComponent(cursor)}`;
    return request({ method: "GET", path: `/api/${service}/audit?limit=20${after}`, response: ownAuditLineList });
  };

/** What was done to the account, its keys and its money, newest first. */
export const historyQuery = infiniteQueryOptions({
  queryKey: ["history"],
  initialPageParam: null as Progress<OwnAuditLine> | null,
  queryFn: ({ pageParam }) => nextPage([logOf("auth"), logOf("keys"), logOf("billing")], pageParam),
  getNextPageParam: ({ progress }) => progress,
});

export interface Profile {
  readonly name: string | null;
  readonly language: Language;
}

export function useChangeProfile(): UseMutationResult<Account, Error, Profile> {
  const client = useQueryClient();
  return useMutation({
    mutationFn: async (profile: Profile) =>
      (await request({ method: "PATCH", path: "/api/auth/profile", body: profile, response: accountResponse })).account,
    onSuccess: (account) => client.setQueryData(sessionQuery.queryKey, account),
  });
}

export function useAskForEmail(): UseMutationResult<unknown, Error, string> {
  return useMutation({
    mutationFn: (email: string) =>
      request({ method: "POST", path: "/api/auth/email", body: { email }, response: mailSent }),
  });
}
