import { accountResponse, demoMailbox, mailSent, type ConsentDocument } from "@codex/contracts";
import { queryOptions, useMutation, useQueryClient, type UseMutationResult } from "@tanstack/react-query";
import { request } from "../../../shared/api-client.ts";
import { sessionQuery } from "../../../shared/session.ts";

/** The mails of a demo, newest first. */
export const mailboxQuery = queryOptions({
  queryKey: ["mailbox"],
  refetchInterval: 2_000,
  queryFn: async () => (await request({ method: "GET", path: "/api/auth/mailbox", response: demoMailbox })).mails,
});

export interface SignUp {
  readonly email: string;
  readonly password: string;
  readonly name?: string;
  readonly language: string;
  readonly consents: readonly ConsentDocument[];
  readonly invitation?: string;
}

export function useSignUp(): UseMutationResult<unknown, Error, SignUp> {
  return useMutation({
    mutationFn: (ask: SignUp) => request({ method: "POST", path: "/api/auth/register", body: ask, response: mailSent }),
  });
}

export interface LinkAsk {
  readonly email: string;
  readonly language: string;
}

/** The same answer for every address. */
export function useLinkMail(kind: "reset" | "sign-in"): UseMutationResult<unknown, Error, LinkAsk> {
  return useMutation({
    mutationFn: (ask: LinkAsk) =>
      request({ method: "POST", path: `/api/auth/${kind}-link`, body: ask, response: mailSent }),
  });
}

export function useReset(): UseMutationResult<unknown, Error, { token: string; password: string }> {
  return useMutation({
    mutationFn: (ask: { token: string; password: string }) =>
      request({ method: "POST", path: "/api/auth/reset", body: ask }),
  });
}

export function useConfirmEmail(): UseMutationResult<unknown, Error, string> {
  return useMutation({
    mutationFn: (token: string) => request({ method: "POST", path: "/api/auth/email/confirm", body: { token } }),
  });
}

export interface FirstOperator {
  readonly code: string;
  readonly email: string;
  readonly password: string;
}

export function useFirstOperator(): UseMutationResult<unknown, Error, FirstOperator> {
  const client = useQueryClient();
  return useMutation({
    mutationFn: async (ask: FirstOperator) =>
      (await request({ method: "POST", path: "/api/auth/bootstrap", body: ask, response: accountResponse })).account,
    onSuccess: (account) => client.setQueryData(sessionQuery.queryKey, account),
  });
}
