import { describe } from "@jest/globals";
import { describeReadme } from "./_readme.ts";
import { authConfig } from "../src/config.ts";

describe("README of auth", () => {
  describeReadme("auth", authConfig);
});
