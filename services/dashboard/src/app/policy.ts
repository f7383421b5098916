import { setNonce } from "get-nonce";

/** What our content security policy asks of libraries; it has to be said before their modules run. */

/** The edge puts a new nonce into the page each time; style tags carry it, so that the policy needs no 'unsafe-inline'. */
export const nonce = document.querySelector<HTMLMetaElement>('meta[name="csp-nonce"]')?.content ?? "";

export function satisfyPolicy(): void {
  // Mantine's dialogs lock scrolling with a style tag of react-remove-scroll, which asks this package for the nonce.
  setNonce(nonce);
  // zod tries `new Function` when a schema is made: a violation of the policy, even though it is caught. z.config() would
  // come too late, because a bundle that holds zod may hold schemas too; zod 4.6 reads this object when it is loaded.
  Object.assign(globalThis, { __zod_globalConfig: { jitless: true } });
}
