import type { Role, UsageRecord } from "@codex/contracts";
import { formatAmount, newId, type AccountId, type RequestId } from "@codex/kernel";
import { expect } from "@jest/globals";
import { usagePartitionOf } from "@codex/contracts";
import { brokenInvariants } from "./_invariants.ts";
import { origin, Worker, type World } from "./_util.ts";

export interface ApiAnswer {
  readonly status: number;
  readonly body: Record<string, unknown>;
  readonly headers: Headers;
}

/** Somebody who is signed in. */
export class Person {
  readonly accountId: AccountId;
  private readonly world: World;
  private readonly cookie: string;

  private constructor(world: World, accountId: AccountId, cookie: string) {
    this.world = world;
    this.accountId = accountId;
    this.cookie = cookie;
  }

  static async of(world: World, role: Role = "user", accountId: AccountId = newId("acc")): Promise<Person> {
    return new Person(world, accountId, await world.auth.signIn(accountId, role));
  }

  get(path: string): Promise<ApiAnswer> {
    return this.world.get(path, this.cookie);
  }

  /** `key` null: without the header. */
  async post(path: string, body: unknown, key: string | null = newId("evt")): Promise<ApiAnswer> {
    const response = await fetch(`${this.world.service.httpUrl ?? ""}${path}`, {
      method: "POST",
      headers: {
        cookie: this.cookie,
        origin,
        "x-cx-csrf": "1",
        "content-type": "application/json",
        ...(key === null ? {} : { "idempotency-key": key }),
      },
      body: JSON.stringify(body),
      signal: AbortSignal.timeout(10_000),
    });
    return {
      status: response.status,
      body: (await response.json()) as Record<string, unknown>,
      headers: response.headers,
    };
  }
}

/** Books requests on one lease and answers their ids; each costs 10 an input token, 20 an output token and 5. */
export async function book(
  world: World,
  accountId: AccountId,
  records: readonly (Partial<UsageRecord> & { readonly input: number; readonly output?: number })[],
): Promise<RequestId[]> {
  const worker = await Worker.open(world);
  const leaseId = await worker.lease(accountId, 100_000n);
  const lines = records.map(({ input, output = 0, ...more }) =>
    worker.usage(accountId, leaseId, { input, output }, more),
  );
  const last = worker.close(
    accountId,
    leaseId,
    lines.reduce((sum, line) => sum + line.costMicroTokens, 0n),
  );
  await worker.send([...lines, last]);
  await worker.confirmed(usagePartitionOf(accountId), last.seq);
  return lines.map((line) => line.requestId);
}

export function tokens(microTokens: bigint): string {
  return formatAmount(microTokens);
}

export async function expectSoundBooks(world: World): Promise<void> {
  expect(await brokenInvariants(world.query)).toEqual([]);
}

/** Without the id of the HTTP request, so that two answers can be compared. */
export function told(answer: ApiAnswer): unknown {
  return { status: answer.status, body: { ...answer.body, requestId: "" } };
}
