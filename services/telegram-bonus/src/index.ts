export { telegramBonusConfig, type TelegramBonusConfig } from "./config.ts";
export { start } from "./service.ts";
export { bonusMigrations } from "./store/migrations/index.ts";
export { bonusSchema } from "./store/schema.ts";
export { bonusRoutes } from "./http/routes.ts";
