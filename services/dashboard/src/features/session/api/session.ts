import { accountResponse, type Account } from "@codex/contracts";
import {
  queryOptions,
  useMutation,
  useQueryClient,
  type QueryClient,
  type UseMutationResult,
} from "@tanstack/react-query";
import { ApiError, request } from "../../../shared/api-client.ts";
import { saveLanguage } from "../../../shared/i18n.ts";

/** Who is signed in; null when nobody is. */
export const sessionQuery = queryOptions({
  queryKey: ["session"],
  staleTime: 240_000,
  queryFn: async (): Promise<Account | null> => {
    try {
      return (await request({ method: "GET", path: "/api/auth/me", response: accountResponse })).account;
    } catch (error) {
      if (error instanceof ApiError && error.status === 401) return null;
      throw error;
    }
  },
});

/** Nobody is signed in any more: nothing of the account stays in memory. */
export function forgetSession(client: QueryClient): void {
  client.clear();
  client.setQueryData(sessionQuery.queryKey, null);
}

export interface Credentials {
  readonly email: string;
  readonly password: string;
  readonly name?: string;
}

function useCredentials(path: string): UseMutationResult<Account, Error, Credentials> {
  const client = useQueryClient();
  return useMutation({
    mutationFn: async (credentials: Credentials) =>
      (await request({ method: "POST", path, body: credentials, response: accountResponse })).account,
    onSuccess: (account) => {
      client.clear();
      client.setQueryData(sessionQuery.queryKey, account);
    },
  });
}

export function useSignIn(): UseMutationResult<Account, Error, Credentials> {
  return useCredentials("/api/auth/sign-in");
}

export function useSignUp(): UseMutationResult<Account, Error, Credentials> {
  return useCredentials("/api/auth/register");
}

/** A session that is already gone is signed out. Any other failure is shown: the session may still be alive. */
export function useSignOut(): UseMutationResult<unknown, Error, undefined> {
  const client = useQueryClient();
  return useMutation({
    mutationFn: async () => {
      try {
        await request({ method: "POST", path: "/api/auth/sign-out" });
      } catch (error) {
        if (!(error instanceof ApiError && error.status === 401)) throw error;
      }
    },
    onSuccess: () => {
      forgetSession(client);
      saveLanguage();
    },
  });
}
