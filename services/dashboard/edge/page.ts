import express, { type RequestHandler } from "express";
import { randomBytes } from "node:crypto";
import { readdirSync, readFileSync } from "node:fs";
import type { ServerResponse } from "node:http";
import { join } from "node:path";

/**
 * The built page. Scripts and styles come from our own origin only; Mantine's style tags carry a nonce that is new with
 * every page (SEC-29), which is why index.html is not served as a plain file.
 */

/** Paths below these are answered by somebody else, or not at all. */
const notThePage = /^\/(api|assets|v1|images)(\/|$)/i;

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

/**
 * Files with a hash in their name, kept by browsers for ever, and the few beside the page. The page itself is not among
 * them under any spelling: as a plain file it would have no policy.
 */
export function pageAssets(directory: string): express.Router {
  const router = express.Router();
  const options = (cacheControl: string) => ({
    index: false as const,
    redirect: false,
    cacheControl: false,
    setHeaders: (res: ServerResponse) => {
      for (const [name, value] of Object.entries(commonHeaders)) res.setHeader(name, value);
      res.setHeader("cache-control", cacheControl);
    },
  });
  router.use("/assets", express.static(join(directory, "assets"), options("public, max-age=31536000, immutable")));
  for (const entry of readdirSync(directory, { withFileTypes: true })) {
    if (!entry.isFile() || entry.name === "index.html") continue;
    router.use(`/${entry.name}`, express.static(join(directory, entry.name), options("no-cache")));
  }
  return router;
}

/**
 * Every path that is neither an API nor a file is the page: its router knows the rest. A script of an older build is not:
 * a page in its place would be a syntax error. Throws at start when the page was not built.
 */
export function page(directory: string): RequestHandler {
  const html = readFileSync(`${directory}/index.html`, "utf8");
  if (!html.includes(noncePlaceholder)) throw new Error(`${directory}/index.html has no place for the nonce`);
  return (req, res, next) => {
    if ((req.method !== "GET" && req.method !== "HEAD") || notThePage.test(req.path)) {
      next();
      return;
    }
    const nonce = randomBytes(16).toString("base64");
    res.set({ ...commonHeaders, "content-security-policy": contentSecurityPolicy(nonce), "cache-control": "no-store" });
    res.type("html").send(html.replaceAll(noncePlaceholder, nonce));
  };
}
