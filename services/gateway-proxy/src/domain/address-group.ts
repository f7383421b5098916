import { isIPv6 } from "node:net";

/**
 * What one subscriber can choose freely counts as one address: of IPv6 its network of 64 bits (RFC 6177), of IPv4 the address
 * itself. What is no address is its own group. The zone of a link-local address is not looked at.
 */
export function addressGroupOf(address: string): string {
  const [bare = ""] = address.split("%");
  if (!isIPv6(bare)) return address;
  const [head = "", tail] = bare.toLowerCase().split("::");
  const before = groupsOf(head);
  const after = tail === undefined ? [] : groupsOf(tail);
  const zeros = Array.from({ length: Math.max(0, 8 - before.length - after.length) }, () => "0");
  return `${[...before, ...zeros, ...after].slice(0, 4).map(shortest).join(":")}::/64`;
}

/** An embedded IPv4 address stands for two groups, both behind the network. */
function groupsOf(text: string): readonly string[] {
  return text === "" ? [] : text.split(":").flatMap((group) => (group.includes(".") ? ["v4", "v4"] : [group]));
}

function shortest(group: string): string {
  return group.replace(/^0+(?=.)/, "");
}
