/** The form in which addresses are compared and stored: trimmed, lower case. Dots and plus tags are kept: they are other mailboxes. */
export function canonicalEmail(text: string): string {
  return text.trim().toLowerCase();
}

export interface Consent {
  readonly document: string;
  readonly version: string;
}

/** Whether each document that is asked for was agreed to in just that version, and nothing else was. */
export function consentsMatch(given: readonly Consent[], asked: readonly Consent[]): boolean {
  const names = (list: readonly Consent[]): string =>
    list
      .map(({ document, version }) => `${document}:${version}`)
      .toSorted()
      .join();
  return names(given) === names(asked);
}

const wordsMax = 20;

/** What somebody who knows the owner guesses first: the address, its name and parts, the person's name. */
export function wordsAbout(email: string, name: string | null | undefined): readonly string[] {
  const local = email.slice(0, Math.max(0, email.lastIndexOf("@")));
  const names = name?.split(/\s+/) ?? [];
  const parts = [...email.split(/[@.+_-]/), ...names];
  const joined = [email, local, local.replaceAll(/[^\p{L}\p{N}]/gu, ""), names.join("")];
  return [...new Set([...joined, ...parts])].filter((word) => word.length > 2).slice(0, wordsMax);
}
