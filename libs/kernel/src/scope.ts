/**
 * Acquire and release as one list. Each line that acquires a resource pushes its closer at once, so a start that fails
 * half-way still releases what exists, and stopping runs in the opposite order of starting.
 */

export interface ScopeFailure {
  readonly name: string;
  readonly error: unknown;
}

export interface ScopeOptions {
  /** Bound for one closer; it is reported as failed and left behind when it takes longer. */
  readonly closerTimeoutMs?: number;
  /** Called for each closed resource, in closing order: logs, and the test that asserts the order. */
  readonly onClosed?: (name: string, durationMs: number) => void;
}

interface Entry {
  readonly name: string;
  readonly close: () => Promise<void> | void;
  readonly timeoutMs: number;
}

export class Scope implements AsyncDisposable {
  private readonly entries: Entry[] = [];
  private disposing: Promise<readonly ScopeFailure[]> | undefined;
  private readonly options: ScopeOptions;

  constructor(options: ScopeOptions = {}) {
    this.options = options;
  }

  /** Registers a closer. Throws when the scope is already closing: the resource would leak. */
  defer(name: string, close: () => Promise<void> | void, timeoutMs?: number): void {
    if (this.disposing) throw new Error(`scope is closing, cannot register ${name}`);
    this.entries.push({ name, close, timeoutMs: timeoutMs ?? this.options.closerTimeoutMs ?? 10_000 });
  }

  /** Acquires, registers and returns in one step. */
  async use<T>(name: string, acquire: () => Promise<T> | T, close: (value: T) => Promise<void> | void): Promise<T> {
    const value = await acquire();
    this.defer(name, () => close(value));
    return value;
  }

  /** Closes everything, last opened first. Idempotent: later calls get the first call's failures. Never throws. */
  close(): Promise<readonly ScopeFailure[]> {
    this.disposing ??= this.closeAll();
    return this.disposing;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const failures = await this.close();
    if (failures.length > 0) {
      throw new AggregateError(
        failures.map((failure) => failure.error),
        `failed to close: ${failures.map((failure) => failure.name).join(", ")}`,
      );
    }
  }

  private async closeAll(): Promise<readonly ScopeFailure[]> {
    const failures: ScopeFailure[] = [];
    for (const entry of this.entries.splice(0).reverse()) {
      const startedMs = performance.now();
      try {
        await withTimeout(entry);
      } catch (error) {
        failures.push({ name: entry.name, error });
      }
      this.options.onClosed?.(entry.name, performance.now() - startedMs);
    }
    return failures;
  }
}

async function withTimeout(entry: Entry): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const deadline = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => {
      reject(new Error(`${entry.name} did not close within ${entry.timeoutMs} ms`));
    }, entry.timeoutMs);
  });
  try {
    await Promise.race([Promise.resolve(entry.close()), deadline]);
  } finally {
    clearTimeout(timer);
  }
}
