import { describe } from "@jest/globals";
import { describeReadme } from "../../auth/tests/_readme.ts";
import { gatewayConfig } from "../src/config.ts";

describe("README of gateway-proxy", () => {
  describeReadme("gateway-proxy", gatewayConfig);
});
