/**
 * Errors of Node's own modules belong to another realm than the code that Jest runs, so `instanceof Error` is false for
 * them there; these two look at the shape instead.
 */

export function errorCode(error: unknown): string | undefined {
  const code: unknown = typeof error === "object" && error !== null && "code" in error ? error.code : undefined;
  return typeof code === "string" ? code : undefined;
}

/** The message of anything that was thrown. */
export function errorText(error: unknown): string {
  const message: unknown =
    typeof error === "object" && error !== null && "message" in error ? error.message : undefined;
  return typeof message === "string" ? message : String(error);
}
