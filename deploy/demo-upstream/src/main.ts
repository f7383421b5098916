import { DemoConfigError, environment, readConfig } from "./config.ts";
import { startDemoUpstream } from "./server.ts";

/** EX_CONFIG of sysexits.h, the code every process here ends with when its settings are wrong. */
const exitConfig = 78;

try {
  const running = await startDemoUpstream(readConfig(environment()));
  process.stdout.write(`${JSON.stringify({ event: "listening", url: running.url, port: running.port })}\n`);
  const stop = (): void => void running.close();
  process.once("SIGTERM", stop);
  process.once("SIGINT", stop);
} catch (error) {
  process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = error instanceof DemoConfigError ? exitConfig : 1;
}
