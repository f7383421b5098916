import { createCounter, type Logger } from "@codex/runtime";
import type { Meter } from "@opentelemetry/api";
import type { AlarmEvents } from "./app/failure-alarm.ts";

/** Business telemetry of auth: one function an event. No address and no account is in it. */
export interface AuthEvents extends AlarmEvents {
  /** A password, a second factor or a passkey was wrong, or the throttle did not let it be looked at. */
  signInFailed(): void;
  /** As many failed in the window as the setting says; told at most once a minute by a process. */
  signInWave(failures: number, minutes: number): void;
  /** The window is below the setting again. */
  signInWaveOver(): void;
  /** Operators were told by mail. */
  operatorsTold(failures: number): void;
  alarmFault(error: unknown): void;
  /** After a start with `AUTH_DATA_KEY_PREVIOUS`. */
  factorsResealed(resealed: number, unreadable: number): void;
}

/** A wave that ends in silence has nobody to say so: what was seen longer ago than this is over. */
const waveShownMs = 600_000;

export function authEvents(logger: Logger, meter: Meter): AuthEvents {
  const failures = createCounter(meter, "auth_sign_in_failures", "Sign-ins that failed, of everybody");
  let waveSeenAtMs: number | undefined;
  const isWave = (): boolean => waveSeenAtMs !== undefined && performance.now() - waveSeenAtMs < waveShownMs;
  meter
    .createObservableGauge("auth_sign_in_wave", {
      description: "1: more sign-ins fail than AUTH_ALARM_FAILURES allows",
    })
    .addCallback((result) => result.observe(isWave() ? 1 : 0));
  return {
    signInFailed: () => failures.add(),
    signInWave(count, minutes) {
      waveSeenAtMs = performance.now();
      logger.error("many sign-ins fail", { count, durationMs: minutes * 60_000 });
    },
    signInWaveOver() {
      waveSeenAtMs = undefined;
    },
    operatorsTold: (count) => logger.warn("operators are told of failing sign-ins", { count }),
    factorsResealed(resealed, unreadable) {
      logger.info("secrets of authenticator apps are under the present data key", { count: resealed });
      if (unreadable > 0) logger.error("secrets of authenticator apps that no data key opens", { count: unreadable });
    },
    alarmFault: (error) => logger.warn("failing sign-ins could not be counted", { error }),
  };
}
