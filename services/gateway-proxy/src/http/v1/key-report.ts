import { AppError } from "@codex/kernel";
import { isUtf8 } from "node:buffer";
import type { IncomingMessage } from "node:http";
import { z } from "zod";
import { notAKey, passOnReports, type FoundKey, type KeyReportPorts } from "../../app/key-reports.ts";
import { scanJson } from "../../domain/json-scan.ts";
import { collect } from "./collect.ts";
import type { V1Context } from "./context.ts";
import { isSigned, type ReportSigners } from "./report-signers.ts";
import { sendJson } from "./send-json.ts";

/** The one route of /v1 that asks for no key in a header: a key is what it is about (SEC-39). */
export const keyReportPath = "/v1/security/key-report";

const bodyBytesMax = 262_144;
const jsonLimits = { depthMax: 8, keysMax: 1_000, valuesMax: 2_000 };

/** What anybody sends. */
const oneKey = z.strictObject({ key: z.string().max(200) });
/** What GitHub sends: https://docs.github.com/en/code-security/secret-scanning (partner programme). */
const manyKeys = z
  .array(
    z.object({
      token: z.string().max(4_000),
      type: z.string().max(200).optional(),
      url: z.string().max(4_000).nullish(),
      source: z.string().max(200).nullish(),
    }),
  )
  .min(1)
  .max(100);

export interface KeyReportDeps extends KeyReportPorts {
  readonly signers: ReportSigners;
}

/** Answers how many of the sent texts have the form of a key; the same for keys that exist and for those that do not. */
export async function answerKeyReport(
  deps: KeyReportDeps,
  context: Pick<V1Context, "req" | "res" | "facts">,
  address: string,
): Promise<void> {
  const { req, res, facts } = context;
  facts.route = keyReportPath;
  if (req.method !== "POST") {
    res.setHeader("allow", "POST");
    throw refusal("method_not_allowed", "method_not_allowed", "Use POST for this URL.");
  }
  const bytes = await readBody(req);
  const signed = isSigned(deps.signers, req.headers, bytes);
  const found = foundIn(bytes);
  const received = await passOnReports(deps, found, signed ? undefined : address);
  if (received === 0 && !signed) throw notAKey();
  res.setHeader("cache-control", "no-store");
  sendJson(context, { object: "key_report", received });
}

async function readBody(req: IncomingMessage): Promise<Buffer> {
  const type = (req.headers["content-type"] ?? "").split(";")[0]?.trim().toLowerCase();
  if (type !== "application/json" || req.headers["content-encoding"] !== undefined)
    throw refusal(
      "unsupported_media",
      "unsupported_media_type",
      "Send the report as `application/json`, not compressed.",
    );
  let size = 0;
  return collect(req, (bytes) => {
    size += bytes;
    if (size > bodyBytesMax)
      throw refusal("too_large", "request_too_large", "Send at most 100 keys and 256 KiB in one report.");
  });
}

function foundIn(bytes: Buffer): readonly FoundKey[] {
  const one = oneKey.safeParse(parse(bytes));
  if (one.success) return [{ key: one.data.key.trim(), foundAt: null }];
  const many = manyKeys.safeParse(parse(bytes));
  if (!many.success) throw refusal("invalid", "invalid_request", 'Send {"key": "…"}, or a list of {"token": "…"}.');
  return many.data.map(({ token, url }) => ({ key: token.trim(), foundAt: webAddressOf(url) }));
}

function parse(bytes: Buffer): unknown {
  const malformed = "We could not parse the JSON body of your request.";
  if (bytes.length === 0 || !isUtf8(bytes)) throw refusal("invalid", "malformed_json", malformed);
  scanJson(bytes, jsonLimits);
  try {
    return JSON.parse(bytes.toString("utf8"));
  } catch {
    throw refusal("invalid", "malformed_json", malformed);
  }
}

/** Null for what is none: it is a hint for the owner, and no reason to lose the report. */
function webAddressOf(url: string | null | undefined): string | null {
  const parsed = z
    .url({ protocol: /^https?$/ })
    .max(2_000)
    .safeParse(url);
  return parsed.success ? parsed.data : null;
}

function refusal(kind: AppError["kind"], code: string, publicMessage: string): AppError {
  return new AppError({ kind, code, publicMessage });
}
