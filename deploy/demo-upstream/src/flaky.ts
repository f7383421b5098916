import { createHash } from "node:crypto";

const keysMax = 1_000;

/** Remembers how often the same request was failed by `demo-flaky`; the oldest are forgotten past 1,000. */
export class FlakyCounter {
  private readonly failed = new Map<string, number>();

  /** True for the first `failures` calls with the same body, then false once, and so on. */
  shouldFail(body: unknown, failures: number): boolean {
    const key = createHash("sha256").update(JSON.stringify(body)).digest("hex");
    const before = this.failed.get(key) ?? 0;
    this.failed.delete(key);
    if (before >= failures) return false;
    this.failed.set(key, before + 1);
    const oldest = this.failed.keys().next().value;
    if (this.failed.size > keysMax && oldest !== undefined) this.failed.delete(oldest);
    return true;
  }
}
