/** A failure that was foreseen. The message is one clear sentence; `hint` says what to do; `lines` are the end of a log. */
export class Problem extends Error {
  readonly hint: string | undefined;
  readonly lines: readonly string[];

  constructor(
    message: string,
    more: { readonly hint?: string; readonly lines?: readonly string[]; readonly cause?: unknown } = {},
  ) {
    super(message, more.cause === undefined ? undefined : { cause: more.cause });
    this.name = "Problem";
    this.hint = more.hint;
    this.lines = more.lines ?? [];
  }
}

/** What to print for anything thrown. A stack only for what nobody foresaw. */
export function explain(error: unknown): readonly string[] {
  if (error instanceof Problem) {
    const tail = error.lines.length === 0 ? [] : ["", ...error.lines.map((line) => `    ${line}`)];
    return [error.message, ...tail, ...(error.hint === undefined ? [] : ["", error.hint])];
  }
  if (errorCode(error) === "ENOSPC") {
    return ["The disk is full. Make room (about 2 GB) and run the same command again; it goes on from here."];
  }
  if (error instanceof AggregateError) return [error.message];
  if (error instanceof Error)
    return [error.name === "Error" || error.stack === undefined ? error.message : error.stack];
  return [String(error)];
}

/** The `code` of a system error ("ENOENT"). Read structurally: an error of another realm is no instance of our Error. */
export function errorCode(error: unknown): unknown {
  return typeof error === "object" && error !== null && "code" in error ? error.code : undefined;
}
