import { z } from "zod";
import { readEnvironment } from "./config.ts";
import { readJsonIfWhole } from "./files.ts";
import { pathsOf } from "./paths.ts";
import { totpCode } from "./totp.ts";

// `npm run code`: what the demo operator's authenticator app would show now.
const facts = z.object({ operator: z.object({ totpSecret: z.string() }) });
const known = readJsonIfWhole(pathsOf(readEnvironment().root).runFile, facts);
if (known === undefined) {
  process.stderr.write("Nothing is running: npm start\n");
  process.exitCode = 3;
} else {
  process.stdout.write(`${totpCode(known.operator.totpSecret)}\n`);
}
