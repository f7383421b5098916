import { lookup as systemLookup, type LookupAddress, type LookupOptions } from "node:dns";
import { BlockList, isIP } from "node:net";

/**
 * Which addresses a channel may connect to (SEC-81, SEC-83). Decided at connect time on the address itself, so that neither a
 * name that resolves to a private address nor one that changes its mind between check and use gets around it.
 *
 * Ranges: IANA's special-purpose registries (RFC 6890 and its updates), read 2026-11.
 */

/** Reached by nobody: "this host", link-local with the clouds' metadata services, documentation, benchmarks, multicast, reserved. */
const never = new BlockList();
/** Loopback and private networks: only for channels whose egress is `private`. */
const closed = new BlockList();
/** IPv6 is listed the other way round: what is not global unicast is refused. */
const globalUnicast6 = new BlockList();

for (const [list, ranges] of [
  [
    never,
    [
      "0.0.0.0/8",
      "169.254.0.0/16",
      "192.0.0.0/24",
      "192.0.2.0/24",
      "192.88.99.0/24",
      "198.18.0.0/15",
      "198.51.100.0/24",
      "203.0.113.0/24",
      "224.0.0.0/4",
      "240.0.0.0/4",
      // Within 2000::/3: Teredo and other protocol assignments, documentation, 6to4; and Amazon's metadata service.
      "2001::/23",
      "2001:db8::/32",
      "2002::/16",
      "3fff::/20",
      "fd00:ec2::/32",
    ],
  ],
  [closed, ["10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "::1/128", "fc00::/7"]],
  [globalUnicast6, ["2000::/3"]],
] as const) {
  for (const range of ranges) {
    const [network = "", bits] = range.split("/");
    list.addSubnet(network, Number(bits), network.includes(":") ? "ipv6" : "ipv4");
  }
}

/** `address` is an IP literal without brackets. Anything else is refused. */
export function mayConnect(address: string, privateAllowed: boolean): boolean {
  const family = isIP(address);
  if (family === 0) return false;
  const type = family === 4 ? "ipv4" : "ipv6";
  // An IPv4 address in IPv6 clothes has another way to be written, and no business here.
  if (family === 6 && address.toLowerCase().startsWith("::ffff:")) return false;
  if (never.check(address, type)) return false;
  if (closed.check(address, type)) return privateAllowed;
  return family === 4 || globalUnicast6.check(address, "ipv6");
}

/** What the socket fails with; its code makes it a failure of the channel. */
export class AddressRefused extends Error {
  readonly code = "EADDRREFUSED";

  constructor(host: string) {
    super(`the channel may not connect to ${host}`);
    this.name = "AddressRefused";
  }
}

export type Lookup = (
  hostname: string,
  options: LookupOptions,
  callback: (error: NodeJS.ErrnoException | null, address: string | LookupAddress[], family?: number) => void,
) => void;

/**
 * A resolver for sockets. Every address of the name must be allowed: one that is not refuses the name, since a name that
 * mixes them is an attack or a mistake.
 */
export function guardedLookup(privateAllowed: boolean, lookup: Lookup = systemLookup): Lookup {
  return (hostname, options, callback) => {
    lookup(hostname, { ...options, all: true }, (error, found) => {
      if (error) {
        callback(error, "");
        return;
      }
      const addresses = found as LookupAddress[];
      const first = addresses[0];
      if (!first || addresses.some(({ address }) => !mayConnect(address, privateAllowed))) {
        callback(new AddressRefused(hostname), "");
        return;
      }
      if (options.all === true) callback(null, addresses);
      else callback(null, first.address, first.family);
    });
  };
}
