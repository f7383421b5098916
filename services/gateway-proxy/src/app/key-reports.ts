import { AppError, checkApiKey, hashApiKey } from "@codex/kernel";
import type { UnknownKeys } from "./unknown-keys.ts";

/**
 * Keys that somebody found where they should not be (SEC-39). Who sends a key has it, and that is the whole proof: no account is
 * asked for. What became of it is not answered, so a report tells nobody whether a key exists.
 */

export interface FoundKey {
  readonly key: string;
  /** Where, if the reporter says so. */
  readonly foundAt: string | null;
}

export interface KeyReportPorts {
  /** Rejects with AppError `unavailable` when no registry answers; then it was not heard. */
  readonly report: (keyHash: string, via: "holder" | "github", foundAt: string | null) => Promise<void>;
  /** Counts every report of an address, whatever it was of. */
  readonly reports: Pick<UnknownKeys, "ask">;
}

/** Reports that are on their way to the registry at once, of one request. */
const atOnce = 10;

/**
 * Passes on what has the form of a key of ours, and answers how many that were; other text is left out. `address` is undefined for
 * a reporter who is known by a signature: he is not counted, and his word on where a key was found is taken.
 */
export async function passOnReports(
  { report, reports }: KeyReportPorts,
  found: readonly FoundKey[],
  address: string | undefined,
): Promise<number> {
  const ours = found.filter(({ key }) => checkApiKey(key) !== undefined);
  for (let start = 0; start < ours.length; start += atOnce) {
    await Promise.all(
      ours.slice(start, start + atOnce).map(async ({ key, foundAt }) => {
        if (address === undefined) return report(hashApiKey(key), "github", foundAt);
        admit(reports, address);
        return report(hashApiKey(key), "holder", null);
      }),
    );
  }
  return ours.length;
}

function admit(reports: KeyReportPorts["reports"], address: string): void {
  try {
    reports.ask(address).end(false);
  } catch (error) {
    if (!(error instanceof AppError)) throw error;
    throw new AppError({
      kind: "rate_limited",
      code: "rate_limit_exceeded",
      publicMessage: "Too many reports came from your address. Send the rest later; what was sent before is done.",
      ...(error.retryAfterSeconds === undefined ? {} : { retryAfterSeconds: error.retryAfterSeconds }),
    });
  }
}

export function notAKey(): AppError {
  return new AppError({
    kind: "invalid",
    code: "invalid_request",
    publicMessage: "This is not an API key of this service, or not all of it: its checksum does not fit.",
  });
}
