import { mkdirSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { renderContractFiles } from "../src/documents.ts";

// Writes docs/contracts/. `pnpm check` runs it and fails when git then shows a difference.
const target = fileURLToPath(new URL("../../../docs/contracts/", import.meta.url));
mkdirSync(`${target}schemas`, { recursive: true });
for (const name of readdirSync(`${target}schemas`)) rmSync(`${target}schemas/${name}`);
for (const [path, text] of renderContractFiles()) writeFileSync(`${target}${path}`, text);
