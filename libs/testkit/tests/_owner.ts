import { startInfra } from "@codex/testkit";

/**
 * A process that owns servers, for the tests that kill it: data folder and further options as JSON in argv[2]. Prints
 * one JSON line with the addresses or the failure, and runs until it is killed or its input ends.
 */
const options = JSON.parse(process.argv[2] ?? "{}") as {
  dataDir: string;
  persistent: boolean;
  ports?: { postgres?: number; nats?: number; redis?: number };
};
try {
  const infra = await startInfra({ ...options, log: (line) => process.stderr.write(`${line}\n`) });
  process.stdout.write(`${JSON.stringify(infra)}\n`);
  process.stdin.resume().once("end", () => void infra.stop());
} catch (error) {
  process.stdout.write(`${JSON.stringify({ failure: String(error) })}\n`);
}
