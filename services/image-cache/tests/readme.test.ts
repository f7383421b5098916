import { describe } from "@jest/globals";
import { describeReadme } from "../../auth/tests/_readme.ts";
import { imageCacheConfig } from "../src/config.ts";

describe("README of image-cache", () => {
  describeReadme("image-cache", imageCacheConfig);
});
