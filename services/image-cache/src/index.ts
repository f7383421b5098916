export { imageCacheConfig, type ImageCacheConfig } from "./config.ts";
export { start } from "./service.ts";
export { imageMigrations } from "./store/migrations/index.ts";
export { imagesSchema } from "./store/schema.ts";
export { imageRoutes } from "./http/routes.ts";
