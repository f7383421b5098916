import { writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { renderErrorsDoc } from "../src/errors-doc.ts";

// Writes docs/errors.md. A test fails while the file and the catalogue differ.
writeFileSync(fileURLToPath(new URL("../../../docs/errors.md", import.meta.url)), renderErrorsDoc());
