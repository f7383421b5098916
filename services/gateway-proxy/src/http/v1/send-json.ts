import type { V1Context } from "./context.ts";

/** 200 with a JSON body. */
export function sendJson({ res }: Pick<V1Context, "res">, value: unknown): void {
  const body = JSON.stringify(value);
  res.writeHead(200, { "content-type": "application/json", "content-length": Buffer.byteLength(body) });
  res.end(body);
}
