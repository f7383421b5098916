/**
 * Each service has an audit log of its own, newest first and page by page; a reader sees them as one. A line is shown once no
 * log can have a newer one that was not fetched yet, so that the order holds from page to page.
 */

export interface DatedLine {
  /** RFC 3339, UTC. */
  readonly at: string;
}

export interface LogPage<Line> {
  readonly lines: readonly Line[];
  readonly nextCursor: string | null;
}

/** One log: how to get a page of it; `cursor` undefined = the newest. */
export type Log<Line> = (cursor: string | undefined) => Promise<LogPage<Line>>;

interface Unread<Line> {
  /** Fetched and not shown yet. */
  readonly rest: readonly Line[];
  /** Undefined = nothing was fetched; null = the log was read to its end. */
  readonly cursor: string | null | undefined;
}

/** Where the logs stand, in their order. */
export type Progress<Line> = readonly Unread<Line>[];

export interface MergedPage<Line> {
  readonly lines: readonly Line[];
  /** For the next page; null at the end of every log. */
  readonly progress: Progress<Line> | null;
}

/** The next lines of all logs together. Rejects when one of them cannot be read: a list with a gap would look complete. */
export async function nextPage<Line extends DatedLine>(
  logs: readonly Log<Line>[],
  progress: Progress<Line> | null,
): Promise<MergedPage<Line>> {
  const fetched = await Promise.all(
    logs.map(async (log, index): Promise<Unread<Line>> => {
      const { rest, cursor } = progress?.[index] ?? { rest: [], cursor: undefined };
      if (rest.length > 0 || cursor === null) return { rest, cursor };
      const page = await log(cursor);
      return { rest: page.lines, cursor: page.nextCursor };
    }),
  );
  // Of a log with more to come, nothing is known that is older than its last line.
  const horizon = fetched
    .filter(({ cursor }) => cursor !== null)
    .map(({ rest }) => rest.at(-1)?.at ?? "")
    .reduce((latest, at) => (at > latest ? at : latest), "");
  const lines = fetched
    .flatMap(({ rest }) => rest.filter(({ at }) => at >= horizon))
    .toSorted((one, other) => (one.at === other.at ? 0 : one.at < other.at ? 1 : -1));
  const left = fetched.map(({ rest, cursor }) => ({ rest: rest.filter(({ at }) => at < horizon), cursor }));
  const isOver = left.every(({ rest, cursor }) => rest.length === 0 && cursor === null);
  return { lines, progress: isOver ? null : left };
}
