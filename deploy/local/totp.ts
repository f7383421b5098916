import { Secret, TOTP } from "otpauth";

/** The six digits that an authenticator app shows for this secret, `stepsAhead` times thirty seconds from now. */
export function totpCode(secret: string, stepsAhead = 0): string {
  const totp = new TOTP({ secret: Secret.fromBase32(secret) });
  return totp.generate({ timestamp: Date.now() + stepsAhead * 30_000 });
}
