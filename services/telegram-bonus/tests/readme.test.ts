import { describe } from "@jest/globals";
import { describeReadme } from "../../auth/tests/_readme.ts";
import { telegramBonusConfig } from "../src/config.ts";

describe("README of telegram-bonus", () => {
  describeReadme("telegram-bonus", telegramBonusConfig);
});
