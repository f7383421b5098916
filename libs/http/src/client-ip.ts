import { isIP } from "node:net";

/**
 * Glossary
 *   peer                the address at the other end of the socket
 *   trusted proxy       one of our own hops; each appends to X-Forwarded-For the address that it saw
 *   trustedProxyCount   how many of them stand before this process; 0 = clients connect directly
 *
 * Only what our own hops wrote counts (SEC-05): with n proxies that is the n-th entry from the right. Everything further
 * left came from the client and may be invented.
 */

/** Without zone, brackets, port and the IPv4-mapped prefix. Undefined when it is no address. */
function normalizeIp(text: string): string | undefined {
  let ip = text.trim();
  const bracketed = /^\[([^\]]+)\](:\d+)?$/.exec(ip);
  if (bracketed) ip = bracketed[1] ?? "";
  else if (/^\d+\.\d+\.\d+\.\d+:\d+$/.test(ip)) ip = ip.slice(0, ip.indexOf(":"));
  const zone = ip.indexOf("%");
  if (zone >= 0) ip = ip.slice(0, zone);
  if (/^::ffff:\d+\.\d+\.\d+\.\d+$/i.test(ip)) ip = ip.slice(7);
  return isIP(ip) === 0 ? undefined : ip.toLowerCase();
}

/**
 * The client's address for limits and audit. `forwardedFor` is the header as node gives it (several headers joined by
 * ", "). When it has fewer entries than there are proxies, or the entry is no address, the peer is the client.
 */
export function clientIpOf(
  peer: string | undefined,
  forwardedFor: string | undefined,
  trustedProxyCount: number,
): string {
  const peerIp = normalizeIp(peer ?? "") ?? "unknown";
  if (trustedProxyCount <= 0 || forwardedFor === undefined) return peerIp;
  const entry = forwardedFor.split(",").at(-trustedProxyCount);
  return (entry === undefined ? undefined : normalizeIp(entry)) ?? peerIp;
}
