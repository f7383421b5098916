/**
 * The alarm over all accounts (SEC-16): guesses that are spread so thin that no account and no network stands out are still many
 * together. Counted by the minute, over a window.
 */
const minuteMs = 60_000;
export const waveWindowMinutes = 10;
/** Operators are told again after this long at the earliest. */
export const waveQuietMs = 60 * minuteMs;

/** The minutes of the window that ends now, the present one first. */
export function windowMinutes(nowMs: number): readonly number[] {
  const present = Math.floor(nowMs / minuteMs);
  return Array.from({ length: waveWindowMinutes }, (_none, ago) => present - ago);
}
