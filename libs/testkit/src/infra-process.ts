import { chmodSync, closeSync, mkdtempSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { givenTestUrls, keepTestDatabases, testInfraMode, type TestInfraMode } from "./config.ts";
import { errorText } from "./error-text.ts";
import { startInfra, type Infra } from "./infra.ts";

/**
 * The process that owns the servers of one test run. Jest's global set-up starts it, because Jest loads that file
 * without our import condition, and because servers owned by another process are stopped even when Jest is killed:
 * its standard input ends then. Prints one JSON line with the addresses, or with the reason why there are none.
 */

let quiet = false;
const log = (line: string): void => {
  if (!quiet) process.stderr.write(`test servers: ${line}\n`);
};

const answer = (message: object): void => {
  process.stdout.write(`${JSON.stringify(message)}\n`);
};

async function start(mode: TestInfraMode): Promise<Infra> {
  const dataDir = mkdtempSync(path.join(os.tmpdir(), "codex-test-"));
  // mkdtemp makes it 0700; started by root, Postgres runs as another user, which must be able to pass through.
  chmodSync(dataDir, 0o711);
  const given = givenTestUrls();
  const options = { dataDir, persistent: false, log };
  if (mode === "given") return startInfra({ ...options, given });
  try {
    return await startInfra({ ...options, allowContainers: mode !== "child" });
  } catch (error) {
    // The given servers are the last resort here, because tests make and drop databases on them.
    if (given.postgresUrl === undefined || given.natsUrl === undefined || given.redisUrl === undefined) throw error;
    log(`${errorText(error)}\nUsing the given servers.`);
    return startInfra({ ...options, given });
  }
}

/** Resolves when this process should stop its servers: SIGTERM, or the end of its input, unless they are to be kept. */
function untilAskedToStop(infra: Infra): Promise<void> {
  return new Promise((resolve) => {
    // Holds this process when its input has ended and only the servers are left.
    const hold = setInterval(() => undefined, 60_000);
    const finish = (): void => {
      clearInterval(hold);
      resolve();
    };
    const inputEnded = (): void => {
      if (!keepTestDatabases()) finish();
      else {
        log(`kept at ${infra.postgresUrl} because of KEEP_TEST_DB; stop them with: kill ${String(process.pid)}`);
        // Whoever reads the output of the run through a pipe would wait for us.
        quiet = true;
        closeSync(2);
      }
    };
    process.once("SIGTERM", finish);
    // Ctrl-C reaches the whole group of the terminal; Jest ends first, and the end of our input follows.
    process.on("SIGINT", () => undefined);
    process.stdin.once("end", inputEnded).once("error", inputEnded).resume();
  });
}

try {
  const infra = await start(testInfraMode());
  const asked = untilAskedToStop(infra);
  const { kind, postgresUrl, natsUrl, redisUrl } = infra;
  answer({ kind, postgresUrl, natsUrl, redisUrl });
  await asked;
  await infra.stop();
} catch (error) {
  answer({ failure: errorText(error) });
  process.exitCode = 1;
}
