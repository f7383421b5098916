import { describe } from "@jest/globals";
import { describeReadme } from "../../auth/tests/_readme.ts";
import { keyRegistryConfig } from "../src/config.ts";

describe("README of key-registry", () => {
  describeReadme("key-registry", keyRegistryConfig);
});
