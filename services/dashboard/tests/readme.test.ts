import { describe } from "@jest/globals";
import { describeReadme } from "../../auth/tests/_readme.ts";
import { edgeConfig } from "../edge/config.ts";

describe("README of dashboard", () => {
  describeReadme("dashboard", edgeConfig);
});
