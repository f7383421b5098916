import type { IncomingMessage, ServerResponse } from "node:http";
import helmet from "helmet";

/** Nothing may be loaded, framed or submitted from an API answer that is opened in a browser. */
const apiPolicy = {
  "default-src": ["'none'"],
  "base-uri": ["'none'"],
  "object-src": ["'none'"],
  "form-action": ["'none'"],
  "frame-ancestors": ["'none'"],
};

/**
 * The headers of SEC-29 on every answer. `contentSecurityPolicy` replaces the one for APIs: a server of pages passes its
 * own, which must not allow inline code. HSTS is ignored by browsers on plain http, so it is sent always.
 */
export function securityHeaders(
  options: { readonly contentSecurityPolicy?: Readonly<Record<string, readonly string[]>> } = {},
): (req: IncomingMessage, res: ServerResponse, next: (error?: unknown) => void) => void {
  return helmet({
    contentSecurityPolicy: { useDefaults: false, directives: { ...(options.contentSecurityPolicy ?? apiPolicy) } },
    strictTransportSecurity: { maxAge: 31_536_000, includeSubDomains: true },
    crossOriginOpenerPolicy: { policy: "same-origin" },
    crossOriginResourcePolicy: { policy: "same-origin" },
    referrerPolicy: { policy: "no-referrer" },
    xFrameOptions: { action: "deny" },
  });
}
