/**
 * .codex/run.json: how scripts find the running system (docs/architecture.md, "First run"). Mode 0600, written when the
 * system is ready, written again when a service was started anew, removed when it stops. It holds passwords and the key;
 * nothing else shows them.
 */
export interface RunFile {
  /** Origin of the gateway itself; its API is below /v1. */
  readonly gatewayUrl: string;
  /** Origin of the edge: the dashboard, /api/* and /v1/*. */
  readonly dashboardUrl: string;
  readonly apiKey: string;
  readonly user: DemoAccount;
  /** `totpSecret` is what its authenticator app was given; `npm run code` shows the code of the moment. */
  readonly operator: DemoAccount & { readonly totpSecret: string };
  /** By the name in services.ts. `adminUrl` has /readyz and /metrics. */
  readonly services: Readonly<
    Record<string, { readonly url: string; readonly adminUrl?: string; readonly pid: number }>
  >;
  /** `postgresUrl` is the administrator's, for our database. */
  readonly infra: { readonly postgresUrl: string; readonly natsUrl: string; readonly redisUrl: string };
  /** Where mails can be read: local mode sends none. */
  readonly mailbox: string;
}

interface DemoAccount {
  readonly email: string;
  readonly password: string;
  readonly accountId: string;
}
