import { createHash } from "node:crypto";
import { createInterface } from "node:readline";

// One-shot command: a list of passwords, one a line, on standard input becomes the lines of AUTH_BREACHED_PASSWORDS_FILE on standard
// output: `node dist/hash-passwords.js < list.txt | LC_ALL=C sort -u > breached.txt`. Line by line, so a list may be of any length.
for await (const line of createInterface({ input: process.stdin, crlfDelay: Infinity })) {
  if (line === "") continue;
  const hash = createHash("sha1").update(line, "utf8").digest("hex").toUpperCase();
  if (!process.stdout.write(`${hash}\n`)) await new Promise((resolve) => process.stdout.once("drain", resolve));
}
