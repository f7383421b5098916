import type { ConnectionOptions, NatsConnection } from "@nats-io/nats-core";
import { connect } from "@nats-io/transport-node";
import { busUnavailable } from "./errors.ts";
import type { BusLogger } from "./logger.ts";
import { inboxPrefixOf } from "./permissions.ts";
import { pause } from "./timing.ts";

export interface BusConfig {
  /**
   * `nats://host:port` of one or more servers of one cluster. Credentials may stand in the first that has any, as
   * `nats://user:password@host:port` or `nats://token@host:port`; the fields below win. One `tls://` makes TLS with a
   * verified certificate a condition for every server, those that the cluster announces included.
   */
  readonly servers: readonly string[];
  /** Shown in the server's monitoring. */
  readonly name: string;
  readonly user?: string | undefined;
  readonly password?: string | undefined;
  readonly token?: string | undefined;
  /** Copies of every stream and bucket; 1 by default, 3 on a cluster. Never lowered on a stream that has more. */
  readonly replicas?: 1 | 3 | 5 | undefined;
}

export type BusStatus = "connected" | "reconnecting" | "closed";

type Credentials = Pick<ConnectionOptions, "user" | "pass" | "token" | "inboxPrefix">;

/** The client reads no credentials from an address, and would send the server's name with them in it. */
function credentialsOf(config: BusConfig, urls: readonly URL[]): Credentials {
  if (config.token !== undefined) return { token: config.token };
  if (config.user !== undefined) return signIn(config.user, config.password ?? "");
  const withUser = urls.find((url) => url.username !== "");
  if (!withUser) return {};
  const user = decodeURIComponent(withUser.username);
  return withUser.password === "" ? { token: user } : signIn(user, decodeURIComponent(withUser.password));
}

/** Answers come to an inbox that no other user may listen to. */
function signIn(user: string, pass: string): Credentials {
  const inboxPrefix = inboxPrefixOf(user);
  return { user, pass, ...(inboxPrefix === undefined ? {} : { inboxPrefix }) };
}

function parseServer(server: string): URL {
  const text = server.includes("://") ? server : `nats://${server}`;
  // The address itself may hold a password, so it is not repeated in the message.
  if (!URL.canParse(text)) throw new Error("a NATS server address is not a URL");
  const url = new URL(text);
  if (!["nats:", "tls:"].includes(url.protocol)) throw new Error("a NATS server address begins with nats:// or tls://");
  return url;
}

/** The client's words for it name neither the server nor the reason. */
function explained(error: unknown, servers: readonly string[]): unknown {
  if (!(error instanceof Error) || !error.message.includes("does not support 'tls'")) return error;
  return new Error(
    `NATS at ${servers.join(", ")} offers no TLS, which tls:// in an address demands; nothing was sent to it`,
    { cause: error },
  );
}

/**
 * Opens the connection. The client's own defaults would give up after ten attempts and notice a dead peer after four
 * minutes; these never give up and notice within 15 s. Rejects when no server answers at start, or without TLS where an
 * address demands it.
 */
export async function openConnection(config: BusConfig): Promise<NatsConnection> {
  const urls = config.servers.map(parseServer);
  const servers = urls.map((url) => (url.port === "" ? `${url.hostname}:4222` : url.host));
  return connect({
    servers,
    name: config.name,
    ...credentialsOf(config, urls),
    // Present, it refuses a server without TLS before anything is sent. Absent, TLS is used where the server offers it.
    ...(urls.some((url) => url.protocol === "tls:") ? { tls: {} } : {}),
    maxReconnectAttempts: -1,
    reconnectTimeWait: 250,
    reconnectJitter: 100,
    pingInterval: 5_000,
    maxPingOut: 2,
    timeout: 5_000,
    // A restarting cluster may refuse credentials for a moment; giving up would need a restart of every service.
    ignoreAuthErrorAbort: true,
    noAsyncTraces: true,
  }).catch((error: unknown) => {
    throw explained(error, servers);
  });
}

/** The client speaks of servers as "host:port", which is no URL for a log. */
export function serverUrl(server: string): string {
  return `nats://${server}`;
}

/** Follows the connection's life, for those who must wait for it or act when it comes back. */
export class ConnectionState {
  private readonly nc: NatsConnection;
  private readonly logger: BusLogger;
  private current: BusStatus = "connected";
  private readonly waiters = new Set<() => void>();
  private readonly reconnectListeners = new Set<() => void>();

  constructor(nc: NatsConnection, logger: BusLogger) {
    this.nc = nc;
    this.logger = logger;
    void this.follow();
    void nc.closed().then((error) => {
      this.current = "closed";
      if (error instanceof Error) logger.error("bus.closed", { error });
      this.wake();
    });
  }

  get status(): BusStatus {
    return this.current;
  }

  /** Called after each reconnect, when the server may be another one, with other data. Returns the unsubscriber. */
  onReconnect(listener: () => void): () => void {
    this.reconnectListeners.add(listener);
    return () => this.reconnectListeners.delete(listener);
  }

  /**
   * Waits until the connection is up, at most `timeoutMs`; answers the milliseconds left. The client would buffer what is
   * sent meanwhile and deliver it after the caller has given up. Throws `unavailable`.
   */
  async ready(timeoutMs: number, signal?: AbortSignal): Promise<number> {
    if (this.current === "connected") return timeoutMs;
    const startedMs = performance.now();
    const timer = new AbortController();
    let waiter: (() => void) | undefined;
    const up = new Promise<void>((resolve) => {
      waiter = resolve;
      this.waiters.add(resolve);
    });
    await Promise.race([up, pause(timeoutMs, signal ? AbortSignal.any([signal, timer.signal]) : timer.signal)]);
    timer.abort();
    if (waiter) this.waiters.delete(waiter);
    signal?.throwIfAborted();
    const leftMs = Math.floor(timeoutMs - (performance.now() - startedMs));
    if (this.status !== "connected" || leftMs < 1)
      throw busUnavailable({ reason: "not connected", status: this.status });
    return leftMs;
  }

  private wake(): void {
    for (const waiter of this.waiters) waiter();
    this.waiters.clear();
  }

  private async follow(): Promise<void> {
    for await (const status of this.nc.status()) {
      if (status.type === "disconnect") {
        this.current = "reconnecting";
        this.logger.warn("bus.disconnected", { url: serverUrl(status.server) });
      } else if (status.type === "reconnect") {
        this.current = "connected";
        this.logger.info("bus.reconnected", { url: serverUrl(status.server) });
        this.wake();
        for (const listener of this.reconnectListeners) listener();
      } else if (status.type === "error") {
        this.logger.warn("bus.server_error", { error: status.error });
      } else if (status.type === "slowConsumer") {
        this.logger.warn("bus.slow_consumer", { subject: status.sub.getSubject(), count: status.pending });
      }
    }
  }
}
