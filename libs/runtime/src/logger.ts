import { isSpanContextValid, trace } from "@opentelemetry/api";
import { pino, type Logger as Pino } from "pino";
import { cleanFields, cleanText, type CleanFields, type LogFields } from "./log-fields.ts";

/** `event` is a constant phrase in the code ("key revoked"); what varies goes into fields. Never throws. */
export interface Logger {
  debug(event: string, fields?: LogFields): void;
  info(event: string, fields?: LogFields): void;
  warn(event: string, fields?: LogFields): void;
  error(event: string, fields?: LogFields): void;
  /** A logger that adds these fields to each line; fields of the line win. */
  child(fields: LogFields): Logger;
}

/** Gets whole lines, each with its line feed. */
export interface LogDestination {
  write(line: string): void;
}

const bufferBytesMax = 16 * 1024 * 1024;

/** Lines of a busy service are written together: each write is a turn of another thread. */
const writtenTogetherBytes = 12_288;
const writtenAfterMs = 50;

/**
 * Standard output, written without blocking the process, at most 50 ms late; the rest is flushed at exit. A process that is
 * killed loses those. When the reader is too slow for 16 MiB of lines, lines are dropped: logging must not stop the service.
 */
export function standardOutput(): LogDestination {
  return pino.destination({
    dest: 1,
    sync: false,
    minLength: writtenTogetherBytes,
    periodicFlush: writtenAfterMs,
    maxLength: bufferBytesMax,
  });
}

/**
 * JSON, one object a line: level, time (ISO 8601, UTC), service, event, then allowed fields (`LogFields`). The trace id
 * of the active span is added when the caller gives none.
 */
export function createLogger(opts: {
  readonly service: string;
  /** One of `logLevels`; throws for another. */
  readonly level: string;
  readonly destination?: LogDestination;
}): Logger {
  const sink = pino(
    {
      level: opts.level,
      base: { service: opts.service },
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
    },
    opts.destination ?? standardOutput(),
  );
  return new PinoLogger(sink, {});
}

type Level = "debug" | "info" | "warn" | "error";

class PinoLogger implements Logger {
  private readonly sink: Pino;
  private readonly bound: CleanFields;

  constructor(sink: Pino, bound: CleanFields) {
    this.sink = sink;
    this.bound = bound;
  }

  debug(event: string, fields?: LogFields): void {
    this.write("debug", event, fields);
  }

  info(event: string, fields?: LogFields): void {
    this.write("info", event, fields);
  }

  warn(event: string, fields?: LogFields): void {
    this.write("warn", event, fields);
  }

  error(event: string, fields?: LogFields): void {
    this.write("error", event, fields);
  }

  child(fields: LogFields): Logger {
    return new PinoLogger(this.sink, { ...this.bound, ...cleanFields(fields) });
  }

  private write(level: Level, event: string, fields: LogFields | undefined): void {
    if (!this.sink.isLevelEnabled(level)) return;
    const line = { ...this.bound, ...(fields && cleanFields(fields)) };
    const traceId = line["traceId"] ?? activeTraceId();
    this.sink[level]({
      event: cleanText(event),
      ...line,
      ...(traceId === undefined ? {} : { traceId }),
    });
  }
}

function activeTraceId(): string | undefined {
  const span = trace.getActiveSpan()?.spanContext();
  return span && isSpanContextValid(span) ? span.traceId : undefined;
}

/** Says nothing: for tests and for libraries that got no logger. */
export const silentLogger: Logger = {
  debug: () => undefined,
  info: () => undefined,
  warn: () => undefined,
  error: () => undefined,
  child: () => silentLogger,
};
