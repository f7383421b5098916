import { withDatabase } from "./command.ts";
import { verifyActs } from "./store/act-log.ts";

// One-shot command: `node dist/verify-acts.js` reads the audit log of accounts from its beginning. Exit code 0: every line
// is as it was written; 1: the first that is not is named.
const { count, broken } = await withDatabase("verify-acts", verifyActs);
if (broken === undefined) {
  process.stdout.write(`${String(count)} lines, the chain holds\n`);
} else {
  process.stdout.write(`the chain is broken at line ${String(broken)}\n`);
  process.exitCode = 1;
}
