import { BlockList, isIP } from "node:net";

/**
 * The addresses that a key may be used from: single ones and CIDR ranges of both families. An IPv4 address and its mapped
 * form in IPv6 (::ffff:0:0/96, RFC 4291 §2.5.5.2) are the same address, in the list as in the question.
 */
export class AddressList {
  private readonly ranges = new BlockList();

  /** Of entries that the contract has checked. */
  constructor(entries: readonly string[]) {
    for (const entry of entries) {
      const [network = "", prefix] = entry.split("/");
      const type = network.includes(":") ? "ipv6" : "ipv4";
      if (prefix === undefined) this.ranges.addAddress(network, type);
      else this.ranges.addSubnet(network, Number(prefix), type);
    }
  }

  /** What is no address is in no list. */
  has(address: string): boolean {
    const family = isIP(address);
    return family !== 0 && this.ranges.check(address, family === 4 ? "ipv4" : "ipv6");
  }
}
