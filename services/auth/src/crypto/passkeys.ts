import type { AccountId } from "@codex/kernel";
import { idToUuid } from "@codex/kernel";
import {
  generateAuthenticationOptions,
  generateRegistrationOptions,
  verifyAuthenticationResponse,
  verifyRegistrationResponse,
  type AuthenticationResponseJSON,
  type RegistrationResponseJSON,
} from "@simplewebauthn/server";
import type { PasskeyCeremonies } from "../app/factor-ports.ts";

/** Ed25519, ES256, RS256 (COSE): what every authenticator knows and what Node verifies without an experimental feature. */
const algorithms = [-8, -7, -257];

/**
 * Passkeys by @simplewebauthn/server 14 (MIT, 2026): CBOR, COSE and attestation are nothing to parse oneself. Keys are
 * discoverable and verify their user, so one is enough to sign in and counts as two factors. No attestation is asked for:
 * which make of key somebody has is none of our business.
 */
export function passkeyCeremonies(publicOrigin: string): PasskeyCeremonies {
  const origin = new URL(publicOrigin).origin;
  const rpID = new URL(publicOrigin).hostname;
  return {
    async signInOptions() {
      const options = await generateAuthenticationOptions({ rpID, userVerification: "required" });
      return { challenge: options.challenge, options: plain(options) };
    },
    async verifyAssertion(assertion, challenge, passkey) {
      const { credentialId: id, publicKey, counter } = passkey;
      try {
        const { verified, authenticationInfo } = await verifyAuthenticationResponse({
          response: assertion as unknown as AuthenticationResponseJSON,
          expectedChallenge: challenge,
          expectedOrigin: origin,
          expectedRPID: rpID,
          credential: { id, publicKey, counter },
          requireUserVerification: true,
        });
        return verified ? authenticationInfo.newCounter : undefined;
      } catch {
        // The library throws for every kind of wrong answer; which one is the client's own business.
        return undefined;
      }
    },
    async addOptions(account, known) {
      const options = await generateRegistrationOptions({
        rpName: "Codex API",
        rpID,
        userName: account.email,
        userID: userHandleOf(account.accountId),
        attestationType: "none",
        supportedAlgorithmIDs: algorithms,
        excludeCredentials: known.map(({ credentialId, transports }) => ({
          id: credentialId,
          transports: [...transports],
        })),
        authenticatorSelection: { residentKey: "required", userVerification: "required" },
      });
      return { challenge: options.challenge, options: plain(options) };
    },
    async verifyAttestation(attestation, challenge) {
      try {
        const { verified, registrationInfo } = await verifyRegistrationResponse({
          response: attestation as unknown as RegistrationResponseJSON,
          expectedChallenge: challenge,
          expectedOrigin: origin,
          expectedRPID: rpID,
          requireUserVerification: true,
          supportedAlgorithmIDs: algorithms,
        });
        if (!verified) return undefined;
        const { id, publicKey, counter, transports = [] } = registrationInfo.credential;
        return { credentialId: id, publicKey: Uint8Array.from(publicKey), counter, transports };
      } catch {
        return undefined;
      }
    },
  };
}

/** Says nothing about the person (W3C WebAuthn L3 §14.6.1): the account's id. */
function userHandleOf(accountId: AccountId): Uint8Array<ArrayBuffer> {
  return Uint8Array.from(Buffer.from(idToUuid(accountId).replaceAll("-", ""), "hex"));
}

/** As it goes over the wire: the library leaves undefined members behind, which are none in JSON. */
function plain(options: object): Readonly<Record<string, unknown>> {
  return JSON.parse(JSON.stringify(options)) as Readonly<Record<string, unknown>>;
}
