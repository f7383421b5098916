import type { RequestHandler } from "express";
import { randomBytes } from "node:crypto";
import { readFileSync } from "node:fs";
import sirv from "sirv";

/**
 * The built page. Scripts and styles come from our own origin only; Mantine's style tags carry a nonce that is new with
 * every page (SEC-29), which is why index.html is not served as a plain file.
 */

const noncePlaceholder = "__CSP_NONCE__";

function contentSecurityPolicy(nonce: string): string {
  return [
    "default-src 'none'",
    "script-src 'self'",
    `style-src 'self' 'nonce-${nonce}'`,
    "img-src 'self' data:",
    "font-src 'self'",
    "connect-src 'self'",
    "manifest-src 'self'",
    "form-action 'self'",
    "base-uri 'none'",
    "object-src 'none'",
    "frame-ancestors 'none'",
  ].join("; ");
}

const commonHeaders: Readonly<Record<string, string>> = {
  "strict-transport-security": "max-age=31536000; includeSubDomains",
  "x-content-type-options": "nosniff",
  "referrer-policy": "no-referrer",
  "cross-origin-opener-policy": "same-origin",
  "cross-origin-resource-policy": "same-origin",
  "x-frame-options": "DENY",
};

/** Files with a hash in their name, kept by browsers for ever. */
export function pageAssets(directory: string): RequestHandler {
  const serve = sirv(directory, {
    etag: true,
    extensions: [],
    setHeaders: (res, path) => {
      for (const [name, value] of Object.entries(commonHeaders)) res.setHeader(name, value);
      res.setHeader("cache-control", path.startsWith("/assets/") ? "public, max-age=31536000, immutable" : "no-cache");
    },
  });
  return (req, res, next) => {
    if (req.path === "/index.html" || req.path === "/") next();
    else serve(req, res, next);
  };
}

/** Every path that is neither an API nor a file is the page: its router knows the rest. Throws at start when the page was not built. */
export function page(directory: string): RequestHandler {
  const html = readFileSync(`${directory}/index.html`, "utf8");
  if (!html.includes(noncePlaceholder)) throw new Error(`${directory}/index.html has no place for the nonce`);
  return (req, res, next) => {
    if ((req.method !== "GET" && req.method !== "HEAD") || req.path.startsWith("/api/")) {
      next();
      return;
    }
    const nonce = randomBytes(16).toString("base64");
    res.set({ ...commonHeaders, "content-security-policy": contentSecurityPolicy(nonce), "cache-control": "no-store" });
    res.type("html").send(html.replaceAll(noncePlaceholder, nonce));
  };
}
