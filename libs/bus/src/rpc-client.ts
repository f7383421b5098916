import type { RpcDef } from "@codex/contracts";
import { refuse, type Result } from "@codex/kernel";
import type { Msg, NatsConnection } from "@nats-io/nats-core";
import { context, SpanKind } from "@opentelemetry/api";
import { z } from "zod";
import type { ConnectionState } from "./connection.ts";
import { parseData, parseJson } from "./envelope.ts";
import { busUnavailable } from "./errors.ts";
import { rpcHeaders } from "./rpc-protocol.ts";
import { toMsgHeaders, traceHeaders, withSpan } from "./trace.ts";

export interface CallOptions {
  /** For the wait for a connection and for the answer together; the contract's by default. */
  readonly timeoutMs?: number | undefined;
  /** Stops waiting; the responder is not told. The call then rejects with the signal's reason. */
  readonly signal?: AbortSignal | undefined;
}

const metadataSchema = z.record(z.string(), z.unknown());

/** A request answered once, by whichever replica of the responder the server picks. */
export class RpcClient {
  private readonly nc: NatsConnection;
  private readonly state: ConnectionState;

  constructor(nc: NatsConnection, state: ConnectionState) {
    this.nc = nc;
    this.state = state;
  }

  call<Req extends z.ZodType, Res extends z.ZodType, C extends string>(
    rpc: RpcDef<Req, Res, C>,
    req: z.output<Req>,
    options: CallOptions = {},
  ): Promise<Result<z.output<Res>, C>> {
    return withSpan(
      {
        name: `call ${rpc.subject}`,
        kind: SpanKind.CLIENT,
        parent: context.active(),
        attributes: { "rpc.method": rpc.subject },
      },
      async () => {
        const payload = JSON.stringify(z.encode(rpc.req, req));
        return readReply(
          rpc,
          await this.send(rpc.subject, payload, options.timeoutMs ?? rpc.timeoutMs, options.signal),
        );
      },
    );
  }

  private async send(subject: string, payload: string, timeoutMs: number, signal?: AbortSignal): Promise<Msg> {
    signal?.throwIfAborted();
    const leftMs = await this.state.ready(timeoutMs, signal);
    const headers = toMsgHeaders({ ...traceHeaders(), [rpcHeaders.timeoutMs]: String(leftMs) });
    const startedMs = performance.now();
    try {
      return await abortable(this.nc.request(subject, payload, { timeout: leftMs, headers }), signal);
    } catch (error) {
      signal?.throwIfAborted();
      throw busUnavailable({ subject, durationMs: Math.round(performance.now() - startedMs) }, error);
    }
  }
}

function abortable<T>(work: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (!signal) return work;
  return new Promise((resolve, reject) => {
    const onAbort = (): void => {
      reject(new Error("aborted"));
    };
    signal.addEventListener("abort", onAbort, { once: true });
    void work.then(resolve, reject).finally(() => {
      signal.removeEventListener("abort", onAbort);
    });
  });
}

function readReply<Req extends z.ZodType, Res extends z.ZodType, C extends string>(
  rpc: RpcDef<Req, Res, C>,
  reply: Msg,
): Result<z.output<Res>, C> {
  const { subject } = rpc;
  if (reply.headers?.has(rpcHeaders.status) === true) {
    const word = reply.headers.get(rpcHeaders.code);
    const message = reply.headers.get(rpcHeaders.message);
    const code = rpc.errors.find((declared) => declared === word);
    if (code === undefined) throw busUnavailable({ subject, code: word, message });
    if (reply.data.length === 0) return refuse(code, message);
    const body = parseJson(reply.data);
    const metadata = body.ok ? metadataSchema.safeParse(body.value) : undefined;
    return refuse(code, message, metadata?.success === true ? metadata.data : undefined);
  }
  const json = parseJson(reply.data);
  const value = json.ok ? parseData(rpc.res, json.value) : json;
  if (!value.ok) throw busUnavailable({ subject, code: "bad_reply", message: value.problem });
  return value;
}
