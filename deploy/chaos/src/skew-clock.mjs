/**
 * Preloaded into a service (`node --import`) to give it a wrong wall clock: CHAOS_CLOCK_SKEW_MS is added to what Date says.
 * The monotonic clock is left alone, as a wrong wall clock leaves it.
 */
const skewMs = Number(process.env.CHAOS_CLOCK_SKEW_MS ?? "0");
const RealDate = globalThis.Date;

class SkewedDate extends RealDate {
  constructor(...args) {
    if (args.length === 0) super(RealDate.now() + skewMs);
    else super(...args);
  }

  static now() {
    return RealDate.now() + skewMs;
  }
}

if (skewMs !== 0) globalThis.Date = SkewedDate;
