import type { RpcDef } from "@codex/contracts";
import type { Result } from "@codex/kernel";
import type { NatsConnection } from "@nats-io/nats-core";
import { Svcm, type Service, type ServiceMsg } from "@nats-io/services";
import { SpanKind } from "@opentelemetry/api";
import { z } from "zod";
import { parseData, parseJson } from "./envelope.ts";
import { describeError, oneLine } from "./errors.ts";
import type { BusLogger } from "./logger.ts";
import { rpcFailure, rpcHeaders, rpcStatus } from "./rpc-protocol.ts";
import { settledWithin, Slots } from "./timing.ts";
import { toMsgHeaders, traceOf, withSpan } from "./trace.ts";

export interface RpcCall<Req> {
  readonly req: Req;
  /** Of the request message, as sent; a name appears once. */
  readonly headers: Readonly<Record<string, string>>;
  /** Aborts when the caller no longer listens. */
  readonly signal: AbortSignal;
}

export interface RpcHandler {
  readonly rpc: RpcDef;
  /** `req` has been parsed with the contract's schema. */
  readonly handle: (call: RpcCall<unknown>) => Promise<Result<unknown>>;
}

/** Binds a handler to its RPC: it gets the parsed request and may answer only with the declared codes. */
export function rpcHandler<Req extends z.ZodType, Res extends z.ZodType, C extends string>(
  rpc: RpcDef<Req, Res, C>,
  handle: (call: RpcCall<z.output<Req>>) => Promise<Result<NoInfer<z.output<Res>>, NoInfer<C>>>,
): RpcHandler {
  return { rpc, handle: ({ req, headers, signal }) => handle({ req: req as z.output<Req>, headers, signal }) };
}

export interface ServiceDescription {
  /** Also the queue group: each request goes to one of the replicas with this name. Letters, digits, "-" and "_". */
  readonly name: string;
  /** Semantic version. */
  readonly version: string;
  readonly description: string;
  /** Requests handled at the same time in this process; 64 by default. */
  readonly concurrencyMax?: number | undefined;
}

interface EndpointCounts {
  requests: number;
  refusals: number;
  failures: number;
  processingMs: number;
}

/** Requests that wait for a slot; beyond it the caller is told at once instead of timing out. */
const waitingMax = 1_024;

const stopWaitMs = 10_000;

const refusalMessageLengthMax = 512;

/** Serves a set of RPCs as one service of the NATS services framework: `nats micro` sees it, with our counts in its stats. */
export class RpcServer {
  private readonly logger: BusLogger;
  private readonly slots: Slots;
  private readonly counts = new Map<string, EndpointCounts>();
  private service: Service | undefined;

  private constructor(logger: BusLogger, concurrencyMax: number) {
    this.logger = logger;
    this.slots = new Slots(concurrencyMax);
  }

  /** Resolves when the server knows the subscriptions, so that a request sent after it finds a responder. */
  static async start(
    nc: NatsConnection,
    logger: BusLogger,
    description: ServiceDescription,
    handlers: readonly RpcHandler[],
  ): Promise<RpcServer> {
    const { name, version, description: text, concurrencyMax = 64 } = description;
    const server = new RpcServer(logger, concurrencyMax);
    const service = await new Svcm(nc).add({
      name,
      version,
      description: text,
      queue: name,
      statsHandler: (endpoint) => Promise.resolve(server.counts.get(endpoint.subject) ?? null),
    });
    server.service = service;
    for (const handler of handlers) server.addEndpoint(service, name, handler);
    void service.stopped.then((error) => {
      if (error) logger.error("rpc.service_stopped", { name, error });
    });
    await nc.flush();
    return server;
  }

  /** Takes no new request, then waits for the running ones, at most 10 s. Idempotent. */
  async stop(): Promise<void> {
    const ended = (async () => {
      await this.service?.stop();
      await this.slots.idle();
    })();
    await settledWithin(ended, stopWaitMs);
  }

  private addEndpoint(service: Service, queue: string, handler: RpcHandler): void {
    const { subject, description } = handler.rpc;
    this.counts.set(subject, { requests: 0, refusals: 0, failures: 0, processingMs: 0 });
    service.addEndpoint(subject.replaceAll(".", "-"), {
      subject,
      queue,
      metadata: { description: oneLine(description) },
      handler: (error, message) => {
        if (error) this.logger.error("rpc.subscription_failed", { subject, error });
        else void this.accept(handler, message);
      },
    });
  }

  /** Never rejects. */
  private async accept(handler: RpcHandler, message: ServiceMsg): Promise<void> {
    const { subject } = handler.rpc;
    const arrivedMs = performance.now();
    if (this.slots.waiting >= waitingMax) {
      this.logger.warn("rpc.overloaded", { subject, count: this.slots.waiting });
      this.fail(message, subject, rpcStatus.overloaded, rpcFailure.overloaded, "too many requests wait");
      return;
    }
    await this.slots.acquire();
    const deadline = new AbortController();
    const leftMs = callerTimeoutMs(handler.rpc, message) - (performance.now() - arrivedMs);
    const timer = setTimeout(
      () => {
        deadline.abort(new Error("the caller no longer listens"));
      },
      Math.max(0, leftMs),
    );
    try {
      // Nobody waits for this answer any more: the work would only make the queue longer.
      if (leftMs > 0) await this.answer(handler, message, deadline.signal);
    } catch (error) {
      this.logger.error("rpc.failed", { subject, durationMs: Math.round(performance.now() - arrivedMs), error });
      this.fail(message, subject, rpcStatus.internal, rpcFailure.internal, "the request failed");
    } finally {
      clearTimeout(timer);
      this.count(subject, { requests: 1, processingMs: Math.round(performance.now() - arrivedMs) });
      this.slots.release();
    }
  }

  private async answer({ rpc, handle }: RpcHandler, message: ServiceMsg, signal: AbortSignal): Promise<void> {
    const json = parseJson(message.data);
    const req = json.ok ? parseData(rpc.req, json.value) : json;
    if (!req.ok) {
      this.logger.warn("rpc.bad_request", { subject: rpc.subject, code: rpcFailure.badRequest, error: req.problem });
      this.fail(message, rpc.subject, rpcStatus.badRequest, rpcFailure.badRequest, req.problem);
      return;
    }
    const result = await withSpan(
      {
        name: `serve ${rpc.subject}`,
        kind: SpanKind.SERVER,
        parent: traceOf(message.headers),
        attributes: { "rpc.method": rpc.subject },
      },
      () => handle({ req: req.value, headers: headersOf(message), signal }),
    );
    if (result.ok) {
      message.respond(JSON.stringify(z.encode(rpc.res, result.value)));
      return;
    }
    if (!rpc.errors.includes(result.code))
      throw new Error(`${rpc.subject} answered the undeclared code ${oneLine(result.code, 64)}`);
    this.count(rpc.subject, { refusals: 1 });
    const body = result.metadata === undefined ? undefined : JSON.stringify(result.metadata);
    refuseWith(message, rpcStatus.refused, result.code, result.message, body);
  }

  private fail(message: ServiceMsg, subject: string, status: number, code: string, text: string): void {
    this.count(subject, { failures: 1 });
    try {
      refuseWith(message, status, code, text);
    } catch (error) {
      this.logger.warn("rpc.answer_lost", { subject, code, error: describeError(error) });
    }
  }

  private count(subject: string, change: Partial<EndpointCounts>): void {
    const counts = this.counts.get(subject);
    if (!counts) return;
    counts.requests += change.requests ?? 0;
    counts.refusals += change.refusals ?? 0;
    counts.failures += change.failures ?? 0;
    counts.processingMs += change.processingMs ?? 0;
  }
}

function refuseWith(message: ServiceMsg, status: number, code: string, text: string, body?: string): void {
  const headers = toMsgHeaders({ [rpcHeaders.code]: code });
  message.respondError(status, oneLine(text, refusalMessageLengthMax), body, { headers });
}

function headersOf(message: ServiceMsg): Readonly<Record<string, string>> {
  const result: Record<string, string> = {};
  for (const [name, values] of message.headers ?? []) result[name] = values[0] ?? "";
  return result;
}

/** What the caller says, but never above the contract's own bound times two: the header is from outside. */
function callerTimeoutMs(rpc: RpcDef, message: ServiceMsg): number {
  const said = Number(message.headers?.get(rpcHeaders.timeoutMs));
  return Number.isFinite(said) && said > 0 ? Math.min(said, rpc.timeoutMs * 2) : rpc.timeoutMs;
}
