export { connectRedis, type Cluster, type Redis, type RedisBounds } from "./connect.ts";
export { misfitTeller, redisMisfit } from "./misfit.ts";
export { redisFields, redisOf, redisProblems, type RedisMode, type RedisSettings } from "./settings.ts";
