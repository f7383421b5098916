import { renderContractFiles } from "@codex/contracts";
import { renderErrorsDoc } from "@codex/http";
import { deployedNatsConfig } from "@codex/setup";
import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { adrIndex } from "./adr-index.ts";
import { openApiFiles } from "./openapi.ts";

// Every generated file of the repository, written anew. `npm run check` runs it and then asks git for a difference.
const docs = fileURLToPath(new URL("../../docs/", import.meta.url));
// Rendered before anything is deleted: what fails here must leave the documents as they were.
const contracts = [...renderContractFiles()];
const openApi = [...openApiFiles()];
rmSync(`${docs}contracts`, { recursive: true, force: true });
mkdirSync(`${docs}contracts/schemas`, { recursive: true });
mkdirSync(`${docs}contracts/openapi`, { recursive: true });
for (const [path, text] of contracts) writeFileSync(`${docs}contracts/${path}`, text);
for (const [name, text] of openApi) writeFileSync(`${docs}contracts/openapi/${name}`, text);
writeFileSync(`${docs}errors.md`, renderErrorsDoc());
writeFileSync(`${docs}adr/README.md`, adrIndex(`${docs}adr`));
// Beside its source, because the compose file mounts it; a test of deploy/setup holds the two equal.
writeFileSync(fileURLToPath(new URL("../setup/nats.conf", import.meta.url)), deployedNatsConfig());
