/** The names most like `wanted`, best first: for "did you mean". Bounded work: at most 2,000 names of 64 letters are looked at. */
export function nearestNames(wanted: string, names: readonly string[], most = 3): string[] {
  const needle = wanted.slice(0, 64).toLowerCase();
  return names
    .slice(0, 2_000)
    .map((name) => ({ name, distance: editDistance(needle, name.slice(0, 64).toLowerCase()) }))
    .filter(({ name, distance }) => distance <= Math.max(3, Math.floor(name.length / 2)))
    .sort((a, b) => a.distance - b.distance || (a.name < b.name ? -1 : 1))
    .slice(0, most)
    .map(({ name }) => name);
}

/** Levenshtein distance with one row of memory. */
function editDistance(a: string, b: string): number {
  let previous = Array.from({ length: b.length + 1 }, (_value, index) => index);
  for (let row = 1; row <= a.length; row += 1) {
    const current = [row];
    for (let column = 1; column <= b.length; column += 1) {
      const substitution = (previous[column - 1] ?? 0) + (a[row - 1] === b[column - 1] ? 0 : 1);
      current.push(Math.min(substitution, (previous[column] ?? 0) + 1, (current[column - 1] ?? 0) + 1));
    }
    previous = current;
  }
  return previous[b.length] ?? 0;
}
