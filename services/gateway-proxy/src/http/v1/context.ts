import type { AccountId, Clock, MicroTokens, RequestId } from "@codex/kernel";
import type { Logger } from "@codex/runtime";
import type { IncomingMessage, ServerResponse } from "node:http";
import type { BookReader } from "../../app/book-reader.ts";
import type { Catalogue } from "../../app/catalogue.ts";
import type { KeyCache, ResolvedKey } from "../../app/key-cache.ts";
import type { KeyUses } from "../../app/key-uses.ts";
import type { Lender } from "../../app/lender.ts";
import type { RequestLimiter } from "../../app/request-limiter.ts";
import type { GatewayEvents } from "../../events.ts";
import type { Spool } from "../../spool/spool.ts";
import type { TokenCounter } from "../../tokens/token-counter.ts";
import type { Cancelled } from "../../upstream/cancellation.ts";
import type { UpstreamClient } from "../../upstream/transport.ts";
import type { BodyMemory } from "./body-memory.ts";
import type { KeyReportDeps } from "./key-report.ts";
import type { LimitGate } from "./limit-gate.ts";

/** What the handlers of /v1 need; built once by service.ts. */
export interface GatewayParts {
  readonly keys: KeyCache;
  readonly keyUses: KeyUses;
  readonly keyReports: KeyReportDeps;
  readonly books: BookReader;
  readonly catalogue: Catalogue;
  readonly lender: Lender;
  readonly limiter: RequestLimiter;
  /** Proxies in front that write `x-forwarded-for`. */
  readonly trustedProxyCount: number;
  readonly counter: TokenCounter;
  readonly upstream: UpstreamClient;
  /** How upstreams know an account. */
  readonly opaqueUser: (accountId: AccountId) => string;
  /** A function, because the spool belongs to the epoch and is opened after the handlers exist. */
  readonly spool: () => Spool;
  /** From the request to the first byte of a streamed answer, for channels that set none. */
  readonly firstByteTimeoutMs: number;
  readonly events: GatewayEvents;
  readonly logger: Logger;
  readonly clock: Clock;
  readonly bodyMemory: BodyMemory;
  /** Silence towards the client after which a stream shows a sign of life. */
  readonly keepAliveMs: number;
}

/** What is known of a request when its one log record is written. */
export interface RequestFacts {
  status: number;
  route: string;
  model: string | undefined;
  code: string | undefined;
  accountId: string | undefined;
  keyId: string | undefined;
  costMicroTokens: MicroTokens | undefined;
}

export interface V1Context {
  readonly req: IncomingMessage;
  readonly res: ServerResponse;
  readonly requestId: RequestId;
  /** Aborted when the client is gone before the answer was finished. */
  readonly clientGone: Cancelled;
  readonly facts: RequestFacts;
  /** Of the key that came, made when it is asked for. */
  readonly keyHash: () => string;
}

/** A request whose key was accepted. */
export interface KeyContext extends V1Context {
  readonly key: ResolvedKey;
  readonly limits: LimitGate;
}
