import { systemClock, type AppError, type Clock } from "@codex/kernel";
import { appError } from "./error-catalogue.ts";
import type { Principal } from "./session.ts";

/** How long a password or a second factor counts as fresh (SEC-24). */
const freshMs = 300_000;

/**
 * For what a stolen session must not do. Throws AppError `reauth_required` when the person behind the session was not asked for
 * a password or a second factor in the last five minutes, or when that is not known.
 */
export function assertRecentAuthentication(
  { authenticatedAt }: Pick<Principal, "authenticatedAt">,
  clock: Clock = systemClock,
): void {
  const ageMs = authenticatedAt === undefined ? Infinity : clock.now().getTime() - authenticatedAt.getTime();
  if (!(ageMs <= freshMs)) throw reauthRequired();
}

function reauthRequired(): AppError {
  return appError("reauth_required", "Please confirm that it is you: enter your password or second factor again.");
}
