import { randomBytes } from "node:crypto";
import { appendFileSync, existsSync, readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

// Writes .env for docker compose: every secret random, mode 0600. What an existing file says stays as it is, because it may hold
// the only copy of the password pepper; secrets that it lacks, as after an update, are written behind it.
const path = fileURLToPath(new URL("../../.env", import.meta.url));
const secrets = [
  ...["POSTGRES", "NATS", "REDIS"].map((name) => `${name}_PASSWORD`),
  ...["AUTH", "KEYS", "GATEWAY", "BILLING", "IMAGES", "BONUS"].flatMap((schema) => [
    `${schema}_OWNER_PASSWORD`,
    `${schema}_APP_PASSWORD`,
  ]),
  ...["AUTH", "KEYS", "GATEWAY", "BILLING", "IMAGES", "BONUS"].map((name) => `${name}_NATS_PASSWORD`),
  ...["AUTH", "GATEWAY"].map((name) => `${name}_REDIS_PASSWORD`),
  ...[
    "AUTH_SIGNING_SECRET",
    "AUTH_PASSWORD_PEPPER",
    "AUTH_THROTTLE_KEY",
    "AUTH_DATA_KEY",
    "GATEWAY_CHANNEL_KEY",
    "BILLING_RECEIPT_KEY",
  ],
];
const present = existsSync(path) ? readFileSync(path, "utf8") : undefined;
const missing = secrets.filter((name) => !new RegExp(`^${name}=`, "m").test(present ?? ""));
const lines = missing.map((name) => `${name}=${randomBytes(32).toString("hex")}\n`);
if (present === undefined) {
  writeFileSync(path, ["PUBLIC_ORIGIN=http://localhost:8080\n", ...lines].join(""), { mode: 0o600, flag: "wx" });
  process.stdout.write(`.env written: ${secrets.length} secrets, mode 0600\n`);
} else if (missing.length > 0) {
  appendFileSync(path, [present.endsWith("\n") ? "" : "\n", ...lines].join(""));
  process.stdout.write(`.env completed: ${missing.join(", ")}\n`);
} else {
  process.stderr.write(".env exists and stays as it is\n");
  process.exitCode = 1;
}
