import { cleanText } from "./log-fields.ts";

export type HealthState = "starting" | "started" | "draining";

export interface CheckReport {
  readonly name: string;
  readonly ok: boolean;
  readonly critical: boolean;
  /** One line of at most 256 characters, for operators. */
  readonly error?: string;
  readonly durationMs: number;
}

export interface HealthReport {
  /** Started, not draining, and every critical check passed. */
  readonly ready: boolean;
  readonly state: HealthState;
  readonly checks: readonly CheckReport[];
}

interface Check {
  readonly name: string;
  readonly run: () => Promise<void>;
  readonly timeoutMs: number;
  readonly critical: boolean;
  /** A run that has not ended, perhaps from an earlier report that stopped waiting for it. */
  running: Promise<void> | undefined;
}

/**
 * Readiness of one process. A check resolves when its dependency answers and rejects otherwise; it must be cheap.
 * A check that is not critical is reported but does not take the service out of the load balancer: use that for
 * dependencies without which the service still does part of its work.
 */
export class Health {
  private readonly checks: Check[] = [];
  private current: HealthState = "starting";
  private reporting: Promise<readonly CheckReport[]> | undefined;

  /** `timeoutMs` defaults to 1,000; `critical` to true. Throws when the name is taken. */
  addCheck(
    name: string,
    check: () => Promise<void>,
    opts: { readonly timeoutMs?: number; readonly critical?: boolean } = {},
  ): void {
    if (this.checks.some((known) => known.name === name)) throw new Error(`health check ${name} is registered twice`);
    this.checks.push({
      name,
      run: check,
      timeoutMs: opts.timeoutMs ?? 1_000,
      critical: opts.critical ?? true,
      running: undefined,
    });
  }

  setStarted(): void {
    if (this.current === "starting") this.current = "started";
  }

  /** From now on never ready again. */
  setDraining(): void {
    this.current = "draining";
  }

  get state(): HealthState {
    return this.current;
  }

  /** Runs all checks side by side. Calls that overlap share one run, so that probing costs the same however many probe. */
  async report(): Promise<HealthReport> {
    this.reporting ??= Promise.all(this.checks.map((check) => runCheck(check))).finally(() => {
      this.reporting = undefined;
    });
    const checks = await this.reporting;
    // The state is read last: a report that began before draining must not say ready after it.
    const ready = this.current === "started" && checks.every((check) => check.ok || !check.critical);
    return { ready, state: this.current, checks };
  }
}

async function runCheck(check: Check): Promise<CheckReport> {
  const startedMs = performance.now();
  const base = { name: check.name, critical: check.critical };
  const durationMs = (): number => Math.round(performance.now() - startedMs);
  try {
    await within(start(check), check.timeoutMs);
    return { ...base, ok: true, durationMs: durationMs() };
  } catch (error) {
    return {
      ...base,
      ok: false,
      error: cleanText(error instanceof Error ? error.message : String(error)),
      durationMs: durationMs(),
    };
  }
}

/** At most one run of a check at a time: a dependency that hangs must not collect one waiting call per probe. */
function start(check: Check): Promise<void> {
  if (check.running) return check.running;
  const running = (async () => {
    await check.run();
  })().finally(() => {
    check.running = undefined;
  });
  check.running = running;
  return running;
}

async function within(work: Promise<void>, timeoutMs: number): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const deadline = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => {
      reject(new Error(`no answer within ${String(timeoutMs)} ms`));
    }, timeoutMs);
  });
  try {
    await Promise.race([work, deadline]);
  } finally {
    clearTimeout(timer);
  }
}
