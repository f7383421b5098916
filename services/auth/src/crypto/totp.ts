import { Secret, TOTP } from "otpauth";
import type { TotpCodes } from "../app/factor-ports.ts";

/** RFC 6238 by otpauth 9.5 (MIT, 2026): what every authenticator app expects. */

export const stepSeconds = 30;
const seedBytes = 20;
/** Steps before and after: clocks of phones are seconds off (SEC-26). */
const window = 1;

function generator(secret: string, label: string): TOTP {
  return new TOTP({
    issuer: "Codex API",
    label,
    algorithm: "SHA1",
    digits: 6,
    period: stepSeconds,
    secret: Secret.fromBase32(secret),
  });
}

export const totpCodes: TotpCodes = {
  newSecret: () => new Secret({ size: seedBytes }).base32,
  uri: (secret, email) => generator(secret, email).toString(),
  stepOf(secret, code, now) {
    const timestamp = now.getTime();
    const delta = generator(secret, "account").validate({ token: code, timestamp, window });
    return delta === null ? undefined : Math.floor(timestamp / 1_000 / stepSeconds) + delta;
  },
};
