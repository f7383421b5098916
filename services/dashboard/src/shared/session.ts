import { accountResponse, type Account } from "@codex/contracts";
import { queryOptions } from "@tanstack/react-query";
import { ApiError, request } from "./api-client.ts";

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
