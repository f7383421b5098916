export type AuditMode = "incremental" | "full";

/** Offenders kept of one check; one more tells that there are others. */
export const offendersMax = 20;

export interface CheckResult {
  readonly id: string;
  readonly says: string;
  /** Rows that break it as JSON, at most {@link offendersMax}; empty when it holds. */
  readonly offenders: readonly string[];
  /** There are more than those. */
  readonly more: boolean;
}

export interface AuditReport {
  readonly mode: AuditMode;
  /** What was looked at was written at or after this; undefined is everything. */
  readonly since: Date | undefined;
  /**
   * Nothing that an audit from here on does not see was still being written: the begin of the oldest transaction that was
   * running when the snapshot was taken. The next incremental audit starts here.
   */
  readonly position: Date;
  readonly results: readonly CheckResult[];
  readonly tookMs: number;
}

export interface AuditRun {
  readonly mode: AuditMode;
  readonly position: Date;
  readonly at: Date;
  /** Ids of the checks that failed. */
  readonly broken: readonly string[];
}

export interface AuditStore {
  /** One snapshot, read only. `alone`: undefined when another session is auditing already. */
  run(mode: AuditMode, since: Date | undefined, alone: boolean): Promise<AuditReport | undefined>;
  keep(report: AuditReport): Promise<void>;
  latest(): Promise<AuditRun | undefined>;
  /** The latest of this kind that found nothing. */
  latestClean(mode?: AuditMode): Promise<AuditRun | undefined>;
}

export interface AuditEvents {
  auditFinished(report: AuditReport): void;
}
