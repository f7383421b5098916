import { registrationRules } from "@codex/contracts";
import { queryOptions } from "@tanstack/react-query";
import { request } from "./api-client.ts";

/** What a sign-up page must know first: least length of a password, documents, who may register. */
export const rulesQuery = queryOptions({
  queryKey: ["registration"],
  staleTime: 600_000,
  queryFn: () => request({ method: "GET", path: "/api/auth/registration", response: registrationRules }),
});
