import type { SpoolRecord } from "@codex/contracts";
import { newId, type AccountId, type LeaseId } from "@codex/kernel";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { noTokens } from "../src/domain/usage.ts";
import type { OpenRequest } from "../src/spool/records.ts";
import { Spool, type SpoolOptions, type UsageWithoutSeq } from "../src/spool/spool.ts";

/** A spool of its own with what it said, and the requests to put into it. */

export interface TestSpool {
  readonly spool: Spool;
  readonly records: SpoolRecord[];
  readonly faults: unknown[];
}

export function openSpool(directory: string, more: Partial<SpoolOptions> = {}): TestSpool {
  const records: SpoolRecord[] = [];
  const faults: unknown[] = [];
  const spool = new Spool({
    directory,
    workerId: "w",
    epoch: 7,
    segmentBytes: 1_000_000,
    bytesMax: 10_000_000,
    reserveBytes: 0,
    onRecord: (record) => records.push(record),
    onFault: (error) => faults.push(error),
    ...more,
  });
  return { spool, records, faults };
}

export async function withDirectory<T>(work: (directory: string) => T | Promise<T>): Promise<T> {
  const directory = mkdtempSync(join(tmpdir(), "spool-"));
  try {
    return await work(directory);
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

export function openRequest(accountId: AccountId, leaseId: LeaseId, model = "m"): OpenRequest {
  return {
    requestId: newId("req"),
    accountId,
    keyId: newId("key"),
    leaseId,
    model,
    route: "/v1/chat/completions",
    channel: "c",
    streamed: true,
    priceVersion: newId("prc"),
    priceGroup: "default",
    holdMicroTokens: 1_000n,
    inputBytes: 400,
    startedAt: "2026-11-23T12:00:00.000Z",
  };
}

export function usageOf(open: OpenRequest, costMicroTokens: bigint): UsageWithoutSeq {
  const { requestId, accountId, keyId, leaseId, model, route, channel, streamed, priceVersion, priceGroup } = open;
  return {
    requestId,
    accountId,
    keyId,
    leaseId,
    route,
    model,
    channel,
    status: "ok",
    httpStatus: 200,
    errorCode: null,
    streamed,
    tokens: noTokens,
    images: null,
    audioMs: 0,
    estimated: false,
    priceVersion,
    priceGroup,
    holdMicroTokens: open.holdMicroTokens,
    costMicroTokens,
    startedAt: open.startedAt,
    firstByteMs: 5,
    durationMs: 10,
  };
}
