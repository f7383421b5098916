import type { Clock } from "@codex/kernel";
import { waveQuietMs, waveWindowMinutes } from "../domain/failure-wave.ts";
import type { AuthEvents } from "../events.ts";
import type { AlarmStore } from "../store/alarm-store.ts";
import type { WaveCounter } from "../store/wave-counter.ts";

/** Of every failed proof of who somebody is, whoever it was for. Never rejects: an alarm must not change an answer. */
export interface FailureAlarm {
  failed(): Promise<void>;
}

export interface FailureAlarmDeps {
  readonly counter: WaveCounter;
  readonly alarms: AlarmStore;
  readonly events: AuthEvents;
  readonly clock: Clock;
  /** Failures within the window that are an alarm. */
  readonly failuresMax: number;
}

/** Beyond the bound the store is asked, and the log told, this often by one process. */
const againMs = 60_000;

export function failureAlarm({ counter, alarms, events, clock, failuresMax }: FailureAlarmDeps): FailureAlarm {
  let raisedAtMs: number | undefined;
  return {
    async failed() {
      events.signInFailed();
      try {
        const failures = await counter.failed();
        if (failures < failuresMax) return events.signInWaveOver();
        const nowMs = clock.monotonicMs();
        if (raisedAtMs !== undefined && nowMs - raisedAtMs < againMs) return;
        raisedAtMs = nowMs;
        events.signInWave(failures, waveWindowMinutes);
        const told = await alarms.raiseWave(failures, waveWindowMinutes, waveQuietMs, clock.now());
        if (told) events.operatorsTold(failures);
      } catch (error) {
        events.alarmFault(error);
      }
    },
  };
}
