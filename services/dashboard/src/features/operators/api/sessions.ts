import { operatedSessionList, type OperatedSession } from "@codex/contracts";
import { queryOptions, useMutation, useQueryClient, type UseMutationResult } from "@tanstack/react-query";
import { request } from "../../../shared/api-client.ts";
import { accountQuery, onlyWhenAsked, sessionsKey } from "./operators.ts";

const pathOf = (accountId: string): string => `/api/auth/operator/accounts/${accountId}/sessions`;

export const accountSessionsQuery = (accountId: string) =>
  queryOptions({
    queryKey: sessionsKey(accountId),
    ...onlyWhenAsked,
    gcTime: 0,
    queryFn: async () =>
      (await request({ method: "GET", path: pathOf(accountId), response: operatedSessionList })).sessions,
  });

export interface EndOfSession {
  readonly sessionRef: string;
  readonly reason: string;
}

/** Answers the sessions as they are afterwards. */
export function useEndAccountSession(
  accountId: string,
): UseMutationResult<readonly OperatedSession[], Error, EndOfSession> {
  const client = useQueryClient();
  return useMutation({
    mutationFn: async ({ sessionRef, reason }: EndOfSession) => {
      const path = `${pathOf(accountId)}/${sessionRef}/end`;
      return (await request({ method: "POST", path, body: { reason }, response: operatedSessionList })).sessions;
    },
    onSuccess: (sessions) => {
      client.setQueryData(accountSessionsQuery(accountId).queryKey, sessions);
      const liveSessions = sessions.filter(({ state }) => state === "live").length;
      client.setQueryData(accountQuery(accountId).queryKey, (account) => account && { ...account, liveSessions });
    },
  });
}
