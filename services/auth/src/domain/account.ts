/** The form in which addresses are compared and stored: trimmed, lower case. Dots and plus tags are kept: they are other mailboxes. */
export function canonicalEmail(text: string): string {
  return text.trim().toLowerCase();
}
