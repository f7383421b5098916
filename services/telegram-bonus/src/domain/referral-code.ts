/** Ten letters of Crockford's base32 are 50 bits, above the 40 of SEC-64; no letter can be misread for another. */
const alphabet = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";
export const referralCodeBytes = 10;

/** One letter a byte: 256 is a multiple of 32, so no letter is more likely. Takes {@link referralCodeBytes} random bytes. */
export function referralCodeOf(randomBytes: Uint8Array): string {
  if (randomBytes.length !== referralCodeBytes) throw new RangeError("a referral code needs ten random bytes");
  return Array.from(randomBytes, (byte) => alphabet[byte % 32]).join("");
}
