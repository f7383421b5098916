import {
  accountResponse,
  signInResponse,
  type Account,
  type SecondFactorMethod,
  type SecondFactorProof,
} from "@codex/contracts";
import { useMutation, useQueryClient, type QueryClient, type UseMutationResult } from "@tanstack/react-query";
import { ApiError, request } from "../../../shared/api-client.ts";
import { saveLanguage } from "../../../shared/i18n.ts";
import { askPasskey } from "../../../shared/passkeys.ts";
import { sessionQuery } from "../../../shared/session.ts";

/** Nobody is signed in any more: nothing of the account stays in memory. */
export function forgetSession(client: QueryClient): void {
  client.clear();
  client.setQueryData(sessionQuery.queryKey, null);
}

/** Somebody is, or a second factor is asked for. */
export type SignedIn =
  | { readonly account: Account }
  | { readonly secondFactor: { readonly ticket: string; readonly methods: readonly SecondFactorMethod[] } };

/** One of the ways to sign in. What was known of the one before is forgotten. */
function useSigningIn<Ask>(send: (ask: Ask) => Promise<SignedIn>): UseMutationResult<SignedIn, Error, Ask> {
  const client = useQueryClient();
  return useMutation({
    mutationFn: send,
    onSuccess: (answer) => {
      if (!("account" in answer)) return;
      client.clear();
      client.setQueryData(sessionQuery.queryKey, answer.account);
    },
  });
}

const signInBy = (path: string, body: unknown): Promise<SignedIn> =>
  request({ method: "POST", path, body, response: signInResponse });

export interface Credentials {
  readonly email: string;
  readonly password: string;
}

export function useSignIn(): UseMutationResult<SignedIn, Error, Credentials> {
  return useSigningIn((credentials) => signInBy("/api/auth/sign-in", credentials));
}

export interface TokenAndPassword {
  readonly token: string;
  readonly password: string;
}

export function useSignInByLink(): UseMutationResult<SignedIn, Error, TokenAndPassword> {
  return useSigningIn((ask) => signInBy("/api/auth/sign-in/link", ask));
}

/** Proves the address; the new account is signed in by it. */
export function useVerify(): UseMutationResult<SignedIn, Error, TokenAndPassword> {
  return useSigningIn((ask) =>
    request({ method: "POST", path: "/api/auth/verify", body: ask, response: accountResponse }),
  );
}

/** `autofill`: the browser offers passkeys in the field of the address, and this waits until one is chosen. */
export function usePasskeySignIn(): UseMutationResult<SignedIn, Error, { readonly autofill: boolean }> {
  return useSigningIn(async ({ autofill }) => signInBy("/api/auth/passkey/sign-in", await askPasskey(autofill)));
}

export interface SecondStep {
  readonly ticket: string;
  /** "passkey": the browser is asked for one. */
  readonly proof: Exclude<SecondFactorProof, { passkey: unknown }> | "passkey";
}

export function useSecondFactor(): UseMutationResult<SignedIn, Error, SecondStep> {
  return useSigningIn(async ({ ticket, proof }) =>
    signInBy("/api/auth/sign-in/second-factor", {
      ticket,
      proof: proof === "passkey" ? await askPasskey(false) : proof,
    }),
  );
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
