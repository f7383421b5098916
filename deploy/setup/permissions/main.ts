import { writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { joined } from "./attempt.ts";
import { grantsOf } from "./grants.ts";
import { tryNats } from "./nats.ts";
import { tryPostgres } from "./postgres.ts";
import { tryRedis } from "./redis.ts";
import { startWorld } from "./world.ts";

// `npm run test:permissions`: what is forbidden is tried with each service's own credentials. Exit code 0: everything was
// refused. With --write-grants it writes the golden file of the grants anew, for a person to read before it is committed.

const world = await startWorld();
try {
  if (process.argv.includes("--write-grants")) {
    const file = fileURLToPath(new URL("grants.golden.txt", import.meta.url));
    writeFileSync(file, await grantsOf(world));
    process.stdout.write("grants.golden.txt written\n");
  }
  const { attempts, controls } = joined([await tryPostgres(world), await tryNats(world), await tryRedis(world)]);
  attempts.forEach(({ server, as, what, outcome, detail }, index) => {
    const more = detail === undefined ? "" : ` (${detail.split("\n")[0] ?? ""})`;
    process.stdout.write(`${String(index + 1).padStart(4)}  ${outcome}  ${server} ${as}: ${what}${more}\n`);
  });
  const allowed = attempts.filter(({ outcome }) => outcome !== "denied");
  const broken = controls.filter(({ works }) => !works);
  for (const { server, as, what } of broken)
    process.stdout.write(`      BROKEN  ${server} ${as} should be able to: ${what}\n`);
  process.stdout.write(
    `\n${String(attempts.length)} forbidden things tried, ${String(attempts.length - allowed.length)} denied, ` +
      `${String(allowed.length)} allowed; ${String(controls.length - broken.length)} of ${String(controls.length)} permitted things work\n`,
  );
  if (allowed.length > 0 || broken.length > 0) process.exitCode = 1;
} finally {
  await world.stop();
}
