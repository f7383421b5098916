import { randomBytes } from "node:crypto";
import { existsSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

// Writes .env for docker compose: every secret random, mode 0600. An existing file is never touched: it may hold the only
// copy of the password pepper.
const path = fileURLToPath(new URL("../../.env", import.meta.url));
const secrets = [
  ...["POSTGRES", "NATS", "REDIS"].map((name) => `${name}_PASSWORD`),
  ...["AUTH", "KEYS", "GATEWAY", "BILLING", "IMAGES", "BONUS"].flatMap((schema) => [
    `${schema}_OWNER_PASSWORD`,
    `${schema}_APP_PASSWORD`,
  ]),
  ...[
    "AUTH_SIGNING_SECRET",
    "AUTH_PASSWORD_PEPPER",
    "AUTH_THROTTLE_KEY",
    "AUTH_DATA_KEY",
    "GATEWAY_CHANNEL_KEY",
    "BILLING_RECEIPT_KEY",
  ],
];
if (existsSync(path)) {
  process.stderr.write(".env exists and stays as it is\n");
  process.exitCode = 1;
} else {
  const lines = [
    "PUBLIC_ORIGIN=http://localhost:8080",
    ...secrets.map((name) => `${name}=${randomBytes(32).toString("hex")}`),
  ];
  writeFileSync(path, `${lines.join("\n")}\n`, { mode: 0o600, flag: "wx" });
  process.stdout.write(`.env written: ${secrets.length} secrets, mode 0600\n`);
}
