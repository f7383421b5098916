import { passkeyOptions } from "@codex/contracts";
import {
  startAuthentication,
  startRegistration,
  type AuthenticationResponseJSON,
  type RegistrationResponseJSON,
} from "@simplewebauthn/browser";
import { request } from "./api-client.ts";

/** The browser's side of passkeys, by @simplewebauthn/browser: what `navigator.credentials` takes and gives is binary. */

export interface PasskeyProof {
  readonly challengeId: string;
  readonly passkey: AuthenticationResponseJSON;
}

/** Any passkey of this origin. Rejects when none is chosen. */
export async function askPasskey(autofill: boolean): Promise<PasskeyProof> {
  const { challengeId, options } = await request({
    method: "POST",
    path: "/api/auth/passkey/options",
    response: passkeyOptions,
  });
  const optionsJSON = options as unknown as Parameters<typeof startAuthentication>[0]["optionsJSON"];
  return { challengeId, passkey: await startAuthentication({ optionsJSON, useBrowserAutofill: autofill }) };
}

export interface NewPasskey {
  readonly challengeId: string;
  readonly passkey: RegistrationResponseJSON;
}

export async function makePasskey(): Promise<NewPasskey> {
  const { challengeId, options } = await request({
    method: "POST",
    path: "/api/auth/passkeys/options",
    response: passkeyOptions,
  });
  const optionsJSON = options as unknown as Parameters<typeof startRegistration>[0]["optionsJSON"];
  return { challengeId, passkey: await startRegistration({ optionsJSON }) };
}
