import { writeFileSync } from "node:fs";
import { convertStream, expectationFile, othersThan, recordings } from "./_util.ts";

// Writes the expectations of the golden streams anew; read the difference before it is committed:
//   node --conditions=codex:source libs/dialects/tests/write-golden.ts
for (const recording of recordings()) {
  for (const client of othersThan(recording.provider)) {
    writeFileSync(expectationFile(recording, client), convertStream(client, recording.provider, [recording.bytes]));
  }
}
