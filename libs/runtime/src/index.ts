export { actWatchEvents, type ActWatchEvents } from "./act-watch.ts";
export {
  commonConfig,
  commonFields,
  logLevels,
  type CommonConfig,
  type CommonValues,
  type LogLevel,
} from "./common-config.ts";
export {
  ConfigError,
  defineConfig,
  describeConfig,
  loadConfig,
  processEnvironment,
  type CheckProblem,
  type ConfigProblem,
  type ConfigSpec,
  type EnvName,
  type EnvSource,
} from "./config.ts";
export { createCounter, type BoundCounter, type CheapCounter } from "./counter.ts";
export { env, type IntegerOptions, type SecretOptions, type TextOptions, type UrlOptions } from "./env.ts";
export { Health, type CheckReport, type HealthReport, type HealthState } from "./health.ts";
export { startAdminServer, type AdminServer } from "./admin-server.ts";
export { startInProcess, type InProcessService, type RunningService, type ServiceContext } from "./lifecycle.ts";
export type { LogFields } from "./log-fields.ts";
export { createLogger, silentLogger, type LogDestination, type Logger } from "./logger.ts";
export { runService } from "./run-service.ts";
export { Secret } from "./secret.ts";
export { startTelemetry, type Telemetry } from "./telemetry.ts";
