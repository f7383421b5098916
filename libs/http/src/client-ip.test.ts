import { expect, test } from "@jest/globals";
import { clientIpOf } from "./client-ip.ts";

test.each([
  ["10.0.0.1", undefined, 1, "10.0.0.1"],
  ["10.0.0.1", "6.6.6.6", 0, "10.0.0.1"],
  ["::ffff:10.0.0.1", undefined, 0, "10.0.0.1"],
  ["10.0.0.1", "6.6.6.6, 192.0.2.7", 1, "192.0.2.7"],
  ["10.0.0.1", "192.0.2.7:4711", 1, "192.0.2.7"],
  ["10.0.0.1", "[2001:DB8::1]:443", 1, "2001:db8::1"],
  ["10.0.0.1", "fe80::1%eth0", 1, "fe80::1"],
  ["10.0.0.1", "", 1, "10.0.0.1"],
  ["10.0.0.1", "unknown", 1, "10.0.0.1"],
  ["10.0.0.1", "192.0.2.7, 10.0.0.2", 3, "10.0.0.1"],
  [undefined, undefined, 0, "unknown"],
])("peer %s, header %j and %d proxies give %s", (peer, header, count, ip) => {
  expect(clientIpOf(peer, header, count)).toBe(ip);
});
