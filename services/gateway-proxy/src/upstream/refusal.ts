import type { ChannelKind } from "@codex/contracts";
import type { AppError } from "@codex/kernel";
import { errorOf, faultOf, readUpstreamError, type FaultScope } from "./faults.ts";
import { kinds } from "./kinds/index.ts";

export interface Refusal {
  readonly scope: FaultScope;
  readonly status: number;
  /** As the upstream asked, unbounded; undefined when it did not. */
  readonly retryAfterSeconds: number | undefined;
  /** What the client is told. */
  readonly error: AppError;
}

/** What is read of an answer that is none. */
export interface RefusedAnswer {
  readonly status: number;
  readonly retryAfterSeconds: number | undefined;
  readonly body: AsyncIterable<unknown> & { destroy(): unknown };
}

const readBytesMax = 65_536;
const parsedBytesMax = 16_384;
const readMsMax = 2_000;

/** Reads a bounded part of an answer that is no success, so that the connection can be used again, and tells whose fault it is. */
export async function readRefusal(kind: ChannelKind, answer: RefusedAnswer): Promise<Refusal> {
  const { status } = answer;
  const error = readUpstreamError(await readText(answer));
  const retryAfterSeconds = answer.retryAfterSeconds ?? error.retryAfterSeconds;
  const scope = kinds[kind].faultOf?.(status, error) ?? faultOf(status, error);
  return { scope, status, retryAfterSeconds, error: errorOf(scope, status, retryAfterSeconds, error.code) };
}

/** Never rejects: a refusal that breaks off is one without words. */
async function readText(answer: RefusedAnswer): Promise<string> {
  const timer = setTimeout(() => answer.body.destroy(), readMsMax);
  const chunks: Buffer[] = [];
  let bytes = 0;
  try {
    for await (const chunk of answer.body as AsyncIterable<Buffer>) {
      if (bytes < parsedBytesMax) chunks.push(chunk);
      bytes += chunk.length;
      if (bytes > readBytesMax) break;
    }
  } catch {
    // Its status is known, and that is enough.
  } finally {
    clearTimeout(timer);
  }
  return Buffer.concat(chunks).toString("utf8");
}
