import { setNonce } from "get-nonce";
import * as z from "zod";

/**
 * What our content security policy asks of libraries. main.tsx imports it before everything else: zod decides when a
 * schema is made.
 */

/** The edge puts a new nonce into the page each time; style tags carry it, so that the policy needs no 'unsafe-inline'. */
export const nonce = document.querySelector<HTMLMetaElement>('meta[name="csp-nonce"]')?.content ?? "";

// Mantine's dialogs lock scrolling with a style tag of react-remove-scroll, which asks this package for the nonce.
setNonce(nonce);
// zod would compile its schemas with `new Function`; trying to is a violation of the policy, even when it is caught.
z.config({ jitless: true });
