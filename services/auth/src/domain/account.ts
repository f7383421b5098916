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
