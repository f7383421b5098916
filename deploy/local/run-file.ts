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
  readonly operator: DemoAccount;
  /** By the name in services.ts. `adminUrl` has /readyz and /metrics. */
  readonly services: Readonly<
    Record<string, { readonly url: string; readonly adminUrl?: string; readonly pid: number }>
  >;
  /** `postgresUrl` is the administrator's, for our database. */
  readonly infra: { readonly postgresUrl: string; readonly natsUrl: string; readonly redisUrl: string };
  /** Where mail goes in local mode; null while no service sends any. */
  readonly mailbox: string | null;
}

interface DemoAccount {
  readonly email: string;
  readonly password: string;
  readonly accountId: string;
}
