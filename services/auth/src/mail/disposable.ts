import { isDisposableEmail } from "disposable-email-domains-js";

/** Whether the address is of a provider of throw-away mail, by a list that comes with the package (CC0): nothing is asked on a network. */
export function isDisposable(email: string): boolean {
  return isDisposableEmail(email);
}
