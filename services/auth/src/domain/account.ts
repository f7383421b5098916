/** The form in which addresses are compared and stored: trimmed, lower case. Dots and plus tags are kept: they are other mailboxes. */
export function canonicalEmail(text: string): string {
  return text.trim().toLowerCase();
}

/** Providers that ignore dots in the part before the @. */
const dotlessDomains: ReadonlySet<string> = new Set(["gmail.com", "googlemail.com"]);

/**
 * The mailbox that an address most likely leads to: without a plus tag, and without the dots that Gmail ignores. Only a hint for abuse
 * (SEC-28): it decides neither who an account is nor whether it may sign in. Of the canonical form; the migration does the same in SQL.
 */
export function mailboxOf(email: string): string {
  const at = email.lastIndexOf("@");
  const domain = email.slice(at + 1);
  const untagged = email.slice(0, at).replace(/(?<=.)\+.*$/, "");
  return dotlessDomains.has(domain) ? `${untagged.replaceAll(".", "")}@gmail.com` : `${untagged}@${domain}`;
}

/** `disposable`: of a provider of throw-away addresses. `shared_mailbox`: another account's mail goes to the same mailbox. */
export type MailSignal = "disposable" | "shared_mailbox";

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
