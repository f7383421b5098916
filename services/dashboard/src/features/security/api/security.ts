import {
  accountResponse,
  ownSessions,
  passkeyResponse,
  recoveryCodes,
  securityOverview,
  totpEnrolment,
} from "@codex/contracts";
import { queryOptions, useMutation, useQueryClient, type UseMutationResult } from "@tanstack/react-query";
import { request } from "../../../shared/api-client.ts";
import { makePasskey } from "../../../shared/passkeys.ts";

/** What protects the own account, and what is done about it. */

export const securityQuery = queryOptions({
  queryKey: ["security"],
  queryFn: () => request({ method: "GET", path: "/api/auth/security", response: securityOverview }),
});
export const sessionsQuery = queryOptions({
  queryKey: ["sessions"],
  queryFn: async () => (await request({ method: "GET", path: "/api/auth/sessions", response: ownSessions })).sessions,
});

/** Whatever is done here may change all of it. */
function useSecurityChange<Ask, Answer>(send: (ask: Ask) => Promise<Answer>): UseMutationResult<Answer, Error, Ask> {
  const client = useQueryClient();
  const renew = (): void => {
    for (const key of ["security", "sessions", "session"]) void client.invalidateQueries({ queryKey: [key] });
  };
  return useMutation({ mutationFn: send, onSuccess: renew });
}

export function useChangePassword(): UseMutationResult<unknown, Error, string> {
  return useSecurityChange((password: string) =>
    request({ method: "POST", path: "/api/auth/password", body: { password }, response: accountResponse }),
  );
}

export function useBeginTotp(): UseMutationResult<{ secret: string; uri: string }, Error, undefined> {
  return useSecurityChange(() => request({ method: "POST", path: "/api/auth/totp", response: totpEnrolment }));
}

/** Answers the recovery codes when it is the first factor. */
export function useConfirmTotp(): UseMutationResult<readonly string[], Error, string> {
  return useSecurityChange(async (code: string) => {
    const path = "/api/auth/totp/confirm";
    return (await request({ method: "POST", path, body: { code }, response: recoveryCodes })).recoveryCodes;
  });
}

export function useRenewCodes(): UseMutationResult<readonly string[], Error, undefined> {
  return useSecurityChange(
    async () =>
      (await request({ method: "POST", path: "/api/auth/recovery-codes", response: recoveryCodes })).recoveryCodes,
  );
}

export function useAddPasskey(): UseMutationResult<readonly string[], Error, string> {
  return useSecurityChange(async (name: string) => {
    const body = { ...(await makePasskey()), name };
    const answer = await request({ method: "POST", path: "/api/auth/passkeys", body, response: passkeyResponse });
    return answer.recoveryCodes ?? [];
  });
}

/** Of the app ("totp") or of a passkey ("passkeys/…"). */
export function useRemoveFactor(): UseMutationResult<unknown, Error, string> {
  return useSecurityChange((which: string) => request({ method: "DELETE", path: `/api/auth/${which}` }));
}

export function useEndSession(): UseMutationResult<unknown, Error, string> {
  return useSecurityChange((sessionId: string) =>
    request({ method: "DELETE", path: `/api/auth/sessions/${sessionId}` }),
  );
}

export function useEndOthers(): UseMutationResult<unknown, Error, undefined> {
  return useSecurityChange(() => request({ method: "POST", path: "/api/auth/sessions/end-others" }));
}
