import { runService } from "@codex/runtime";
import { telegramBonusConfig } from "./config.ts";
import { start } from "./service.ts";

await runService({ name: "telegram-bonus", config: telegramBonusConfig, start });
