import {
  auditLineList,
  auditQuery,
  ownAuditLineList,
  ownAuditQuery,
  rolesWith,
  type AuditLine,
  type OwnAuditLine,
} from "@codex/contracts";
import { idToUuid, uuidToId, type AccountId } from "@codex/kernel";
import { appError } from "./error-catalogue.ts";
import { defineRoute, type Route } from "./route.ts";

/** A line as @codex/db reads it; structural, so that this library does not depend on that one. Ids are UUIDs. */
export interface StoredAct {
  readonly seq: bigint;
  readonly id: string;
  readonly actorId: string | null;
  readonly action: string;
  readonly accountId: string | null;
  readonly target: string | null;
  readonly reason: string | null;
  readonly details: Readonly<Record<string, unknown>>;
  readonly at: Date;
  readonly hash: Uint8Array;
}

export interface StoredActFilter {
  readonly accountId?: string | undefined;
  readonly actorId?: string | undefined;
  readonly action?: string | undefined;
  readonly since?: Date | undefined;
  readonly until?: Date | undefined;
  readonly beforeSeq?: bigint | undefined;
}

/** Newest first, at most `limit`. */
export type ReadActs = (filter: StoredActFilter, limit: number) => Promise<readonly StoredAct[]>;

export interface AuditRoutesOptions {
  /** "/api/keys". */
  readonly prefix: string;
  /** What the log is about, for the summary: "keys". */
  readonly about: string;
  /** Of `operationId`, which is unique over all services: "Key". */
  readonly name: string;
  readonly readActs: ReadActs;
  /** False where nothing in the log concerns an account. */
  readonly own?: boolean;
}

const read = { method: "GET", rateClass: "read", bodyLimitBytes: 0, logClass: "standard" } as const;

/** The audit log of a service for operators, and for the owner of an account (SEC-147). */
export function auditRoutes(options: AuditRoutesOptions): readonly Route[] {
  return options.own === false ? [operatorRoute(options)] : [operatorRoute(options), ownRoute(options)];
}

function operatorRoute({ prefix, about, name, readActs }: AuditRoutesOptions): Route {
  return defineRoute({
    ...read,
    auth: "operator",
    roles: rolesWith("acts.read"),
    owner: "none",
    operationId: `search${name}Audit`,
    path: `${prefix}/operator/audit`,
    summary: `The audit log of ${about} by account, actor, action and time, newest first; each line holds the hash of the chain`,
    request: { query: auditQuery },
    responses: { 200: auditLineList },
    errors: ["invalid_cursor"],
    handler: async ({ query: { accountId, actorId, limit, cursor, ...rest } }) => {
      const found = await readActs(
        {
          ...filterOf(rest, cursor),
          accountId: accountId && idToUuid(accountId),
          actorId: actorId && idToUuid(actorId),
        },
        limit + 1,
      );
      return { status: 200, body: pageOf(found, limit, toApiLine) };
    },
  });
}

function ownRoute({ prefix, about, name, readActs }: AuditRoutesOptions): Route {
  return defineRoute({
    ...read,
    auth: "session",
    owner: "account",
    operationId: `list${name}Audit`,
    path: `${prefix}/audit`,
    summary: `What was done with the account's ${about}, newest first: by its owner, by operators, by the service`,
    request: { query: ownAuditQuery },
    responses: { 200: ownAuditLineList },
    errors: ["invalid_cursor"],
    handler: async ({ principal, query: { limit, cursor, ...rest } }) => {
      const accountId = idToUuid(principal.accountId);
      const found = await readActs({ ...filterOf(rest, cursor), accountId }, limit + 1);
      return { status: 200, body: pageOf(found, limit, (act) => toOwnLine(act, accountId)) };
    },
  });
}

interface Asked {
  readonly action?: string | undefined;
  readonly since?: string | undefined;
  readonly until?: string | undefined;
}

function filterOf({ action, since, until }: Asked, cursor: string | undefined): StoredActFilter {
  if (cursor !== undefined && !/^[1-9]\d{0,17}$/.test(cursor))
    throw appError("invalid_cursor", "The page cursor is not valid.");
  return {
    action,
    since: since === undefined ? undefined : new Date(since),
    until: until === undefined ? undefined : new Date(until),
    beforeSeq: cursor === undefined ? undefined : BigInt(cursor),
  };
}

/** One more than asked for tells whether there is a next page. */
function pageOf<Line>(
  found: readonly StoredAct[],
  limit: number,
  toLine: (act: StoredAct) => Line,
): { readonly lines: readonly Line[]; readonly nextCursor: string | null } {
  const page = found.slice(0, limit);
  const last = found.length > limit ? page.at(-1) : undefined;
  return { lines: page.map(toLine), nextCursor: last === undefined ? null : last.seq.toString() };
}

function shared({ id, action, target, reason, details, at }: StoredAct) {
  return { actId: uuidToId("act", id), action, target, reason, details: { ...details }, at: at.toISOString() };
}

const accountIdOf = (uuid: string | null): AccountId | null => (uuid === null ? null : uuidToId("acc", uuid));

function toApiLine(act: StoredAct): AuditLine {
  return {
    ...shared(act),
    seq: act.seq.toString(),
    actorId: accountIdOf(act.actorId),
    accountId: accountIdOf(act.accountId),
    hash: Buffer.from(act.hash).toString("hex"),
  };
}

function toOwnLine(act: StoredAct, accountId: string): OwnAuditLine {
  const byPerson = act.actorId === accountId ? "you" : "operator";
  return { ...shared(act), by: act.actorId === null ? "service" : byPerson };
}
