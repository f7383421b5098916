import type { IncomingHttpHeaders } from "node:http";
import { appError } from "./error-catalogue.ts";

/** Must be present with the value "1": a cross-site form cannot set a header, and a cross-site fetch would need CORS. */
export const csrfHeader = "x-cx-csrf";

/**
 * SEC-22 (a) and (c); the content type is checked with the body. The browser's own word counts first: `Sec-Fetch-Site`
 * cannot be set by a page. Where it is absent (plain http, old browsers) or `none`, `Origin` must be ours.
 * Throws `csrf_rejected`.
 */
export function assertSameOrigin(headers: IncomingHttpHeaders, publicOrigin: string): void {
  const site = headers["sec-fetch-site"];
  const fromOurPage =
    site === "same-origin" || ((site === undefined || site === "none") && headers.origin === publicOrigin);
  if (!fromOurPage || headers[csrfHeader] !== "1") {
    throw appError("csrf_rejected", "The request did not come from our own page, so it was refused.");
  }
}
