/** The part of a log record that this library fills; every name is on the allow-list of the runtime's logger. */
export interface BusLogFields {
  readonly subject?: string;
  readonly stream?: string;
  readonly name?: string;
  readonly component?: string;
  readonly code?: string;
  readonly count?: number;
  readonly attempt?: number;
  readonly durationMs?: number;
  readonly url?: string;
  readonly error?: unknown;
}

/** Structural subset of the runtime's logger, so that this library does not depend on it. */
export interface BusLogger {
  info(event: string, fields?: BusLogFields): void;
  warn(event: string, fields?: BusLogFields): void;
  error(event: string, fields?: BusLogFields): void;
}
