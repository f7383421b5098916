import type { Clock } from "@codex/kernel";
import { waveQuietMs, waveWindowMinutes } from "../domain/failure-wave.ts";

/** Of every failed proof of who somebody is, whoever it was for. Never rejects: an alarm must not change an answer. */
export interface FailureAlarm {
  failed(): Promise<void>;
}

/** Failed sign-ins of everybody. Answers how many the window holds, this one included. */
export interface WaveCounter {
  failed(): Promise<number>;
}

export interface AlarmStore {
  /**
   * Tells every operator by mail, unless they were told in the last `quietMs`: of all replicas at once one does. Answers whether it
   * was this one.
   */
  raiseWave(failures: number, minutes: number, quietMs: number, now: Date): Promise<boolean>;
}

/** See events.ts. */
export interface AlarmEvents {
  signInFailed(): void;
  signInWave(failures: number, minutes: number): void;
  signInWaveOver(): void;
  operatorsTold(failures: number): void;
  alarmFault(error: unknown): void;
}

export interface FailureAlarmDeps {
  readonly counter: WaveCounter;
  readonly alarms: AlarmStore;
  readonly events: AlarmEvents;
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
        if (failures < failuresMax) {
          events.signInWaveOver();
          return;
        }
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
