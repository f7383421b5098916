/** The session cookie. `__Host-` makes the browser insist on Secure, Path=/ and no Domain (SEC-19). */
export const sessionCookieName = "__Host-cx";

/** Browsers drop a cookie whose name, value and attributes exceed this. */
const cookieBytesMax = 4_096;
const cookieNamePattern = /^__Host-[A-Za-z0-9_-]{1,64}$/;
/** cookie-octet of RFC 6265 §4.1.1. */
const cookieValuePattern = /^[\x21\x23-\x2B\x2D-\x3A\x3C-\x5B\x5D-\x7E]*$/;

/** A cookie to set: always Secure, HttpOnly, SameSite=Strict, Path=/, without Domain. */
export interface SetCookie {
  /** Begins with `__Host-`. */
  readonly name: string;
  readonly value: string;
  /** 0 deletes the cookie. */
  readonly maxAgeSeconds: number;
}

/** Throws when the cookie could not live in a browser; that is a defect of the caller. */
export function serializeCookie(cookie: SetCookie): string {
  if (!cookieNamePattern.test(cookie.name)) throw new Error(`cookie name ${cookie.name} must begin with __Host-`);
  if (!cookieValuePattern.test(cookie.value)) throw new Error(`cookie ${cookie.name} has a value that needs quoting`);
  const maxAge = String(Math.max(0, Math.floor(cookie.maxAgeSeconds)));
  const text = `${cookie.name}=${cookie.value}; Max-Age=${maxAge}; Path=/; Secure; HttpOnly; SameSite=Strict`;
  if (text.length >= cookieBytesMax) throw new Error(`cookie ${cookie.name} is too long`);
  return text;
}

/** The session cookie with its token. */
export function sessionCookie(token: string, maxAgeSeconds: number): SetCookie {
  return { name: sessionCookieName, value: token, maxAgeSeconds };
}

/** Deletes the session cookie. */
export function clearedSessionCookie(): SetCookie {
  return { name: sessionCookieName, value: "", maxAgeSeconds: 0 };
}

/** Name → value; of two cookies with one name the first counts. Values stay as they are, undecoded. */
export function parseCookies(header: string | undefined): Record<string, string> {
  const cookies = new Map<string, string>();
  for (const part of (header ?? "").split(";")) {
    const at = part.indexOf("=");
    const name = part.slice(0, Math.max(0, at)).trim();
    if (name !== "" && !cookies.has(name)) cookies.set(name, part.slice(at + 1).trim());
  }
  return Object.fromEntries(cookies);
}
