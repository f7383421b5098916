import { expect, test } from "@jest/globals";
import { addressGroupOf } from "./address-group.ts";

test.each([
  ["203.0.113.7", "203.0.113.7"],
  ["2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"],
  ["2001:DB8:1:2::", "2001:db8:1:2::/64"],
  ["2001:0db8:0001:0002:ffff:ffff:ffff:ffff", "2001:db8:1:2::/64"],
  ["2001:db8::1", "2001:db8:0:0::/64"],
  ["::1", "0:0:0:0::/64"],
  ["::", "0:0:0:0::/64"],
  ["fe80::1%eth0", "fe80:0:0:0::/64"],
  ["::ffff:1.2.3.4", "0:0:0:0::/64"],
  ["64:ff9b:1:2::1.2.3.4", "64:ff9b:1:2::/64"],
  ["unknown", "unknown"],
])("%s is of %s", (address, group) => {
  expect(addressGroupOf(address)).toBe(group);
});
