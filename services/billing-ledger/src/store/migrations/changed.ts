/**
 * A function of a former migration with some of its lines changed, so that a migration shows what is new. Former migrations stay
 * as they are, so the result does too.
 */

/** The text with each piece replaced. Throws when a piece is not in it exactly once. */
export function changed(text: string, changes: readonly (readonly [former: string, now: string])[]): string {
  return changes.reduce((before, [former, now]) => {
    const [head, tail, ...more] = before.split(former);
    if (head === undefined || tail === undefined || more.length > 0) throw new Error(`not there once: ${former}`);
    return head + now + tail;
  }, text);
}

/** One `create function` of a migration's text, to its end. */
export function functionIn(text: string, name: string): string {
  const from = text.indexOf(`create function ${name}(`);
  const end = "end $$;";
  const to = text.indexOf(end, from);
  if (from < 0 || to < 0) throw new Error(`there is no function ${name}`);
  return text.slice(from, to + end.length);
}
