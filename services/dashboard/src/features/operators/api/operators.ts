import {
  auditLineList,
  mailSent,
  operatedAccountList,
  operatedAccountResponse,
  type AuditLine,
  type Language,
  type OperatedAccount,
} from "@codex/contracts";
import {
  infiniteQueryOptions,
  queryOptions,
  useMutation,
  useQueryClient,
  type UseMutationResult,
} from "@tanstack/react-query";
import { request } from "../../../shared/api-client.ts";
import { auditServices, type AuditService } from "../audit-services.ts";
import { nextPage, type Log, type Progress } from "../../../shared/merged-audit.ts";

/** What operators see and do about accounts. Looking is written down as well, so nothing here is asked again by itself. */
export const onlyWhenAsked = { staleTime: Infinity, refetchOnWindowFocus: false, refetchOnReconnect: false } as const;
const pageSize = 50;

/** "path", { a: "b", c: undefined } → "path?a=b" */
function withQuery(path: string, query: Readonly<Record<string, string | undefined>>): string {
  const given = Object.entries(query).filter((entry): entry is [string, string] => entry[1] !== undefined);
  return `${path}?${new URLSearchParams(given).toString()}`;
}

/** By id, or by the beginning of an address; "" = all, oldest first. */
export const accountsQuery = (search: string) =>
  infiniteQueryOptions({
    queryKey: ["operator", "accounts", search],
    ...onlyWhenAsked,
    gcTime: 0,
    initialPageParam: undefined as string | undefined,
    queryFn: ({ pageParam }) => {
      const query = { search: search === "" ? undefined : search, limit: String(pageSize), cursor: pageParam };
      const path = withQuery("/api/auth/operator/accounts", query);
      return request({ method: "GET", path, response: operatedAccountList });
    },
    getNextPageParam: ({ nextCursor }) => nextCursor ?? undefined,
  });

const accountKey = (accountId: string) => ["operator", "account", accountId] as const;
export const sessionsKey = (accountId: string) => ["operator", "sessions", accountId] as const;

export const accountQuery = (accountId: string) =>
  queryOptions({
    queryKey: accountKey(accountId),
    ...onlyWhenAsked,
    gcTime: 0,
    queryFn: async () => {
      const path = `/api/auth/operator/accounts/${accountId}`;
      return (await request({ method: "GET", path, response: operatedAccountResponse })).account;
    },
  });

/** Empty = every one. */
export interface AuditSearch {
  readonly service: AuditService | "";
  readonly accountId: string;
  readonly actorId: string;
  readonly action: string;
  /** RFC 3339, UTC. */
  readonly since: string;
  readonly until: string;
}

/** The audit logs, newest first, as one list. */
export const auditQuery = ({ service, ...search }: AuditSearch) =>
  infiniteQueryOptions({
    queryKey: ["operator", "audit", service, search],
    gcTime: 0,
    initialPageParam: null as Progress<AuditLine> | null,
    queryFn: ({ pageParam }) => {
      const given = Object.fromEntries(Object.entries(search).filter(([, value]) => value !== ""));
      const logOf =
        (name: AuditService): Log<AuditLine> =>
        (cursor) => {
          const path = withQuery(`/api/${name}/operator/audit`, { ...given, limit: String(pageSize), cursor });
          return request({ method: "GET", path, response: auditLineList });
        };
      return nextPage((service === "" ? auditServices : [service]).map(logOf), pageParam);
    },
    getNextPageParam: ({ progress }) => progress,
  });

export interface OperatorAct {
  readonly accountId: string;
  readonly verb: "block" | "unblock" | "end-sessions" | "role";
  readonly reason: string;
  /** With `role`. */
  readonly role?: OperatedAccount["role"];
}

/** Answers the account as it is afterwards. */
export function useOperatorAct(): UseMutationResult<OperatedAccount, Error, OperatorAct> {
  const client = useQueryClient();
  return useMutation({
    mutationFn: async ({ accountId, verb, ...body }: OperatorAct) => {
      const path = `/api/auth/operator/accounts/${accountId}/${verb}`;
      return (await request({ method: "POST", path, body, response: operatedAccountResponse })).account;
    },
    onSuccess: (account, { verb }) => {
      client.setQueryData(accountKey(account.accountId), account);
      // Everything else ends sessions.
      if (verb !== "unblock") void client.invalidateQueries({ queryKey: sessionsKey(account.accountId) });
    },
  });
}

export interface Invitation {
  readonly email: string;
  readonly language: Language;
}

export function useInvite(): UseMutationResult<unknown, Error, Invitation> {
  return useMutation({
    mutationFn: (ask: Invitation) =>
      request({ method: "POST", path: "/api/auth/operator/invitations", body: ask, response: mailSent }),
  });
}
