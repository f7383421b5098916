import { auditRoutes, type ReadActs, type Route } from "@codex/http";
import type { AuthPorts } from "../app/ports.ts";
import type { TokenSigner } from "../crypto/token-signer.ts";
import { accountRoutes } from "./account-routes.ts";
import { operatorRoutes } from "./operator-routes.ts";
import { registrationRoutes, type RegistrationDeps } from "./registration-routes.ts";
import { securityRoutes } from "./security-routes.ts";
import { signInRoutes } from "./sign-in-routes.ts";

/** The API of accounts and sessions, under /api/auth. */
export function authRoutes(
  ports: AuthPorts,
  signer: TokenSigner,
  readDemoMails: RegistrationDeps["readDemoMails"],
  readActs: ReadActs,
): readonly Route[] {
  const deps = { ports, signer, readDemoMails };
  return [
    ...registrationRoutes(deps),
    ...signInRoutes(deps),
    ...securityRoutes(deps),
    ...accountRoutes(deps),
    ...operatorRoutes(deps),
    ...auditRoutes({ prefix: "/api/auth", about: "accounts", name: "Account", readActs }),
  ];
}
