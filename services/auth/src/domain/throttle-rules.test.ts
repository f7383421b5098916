import { expect, test } from "@jest/globals";
import { networkOf } from "./throttle-rules.ts";

test.each([
  ["203.0.113.7", "203.0.113"],
  ["2001:db8:1:2:3:4:5:6", "2001:db8:1:2"],
  ["2001:db8::1", "2001:db8:0:0"],
  ["::1", "0:0:0:0"],
  ["2001:db8:1:2::", "2001:db8:1:2"],
  ["unknown", "unknown"],
])("given the address %s, then its network is %s", (address, network) => {
  expect(networkOf(address)).toBe(network);
});
