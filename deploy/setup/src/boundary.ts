import { busPermissions, type BusNeeds, type BusPermissions } from "@codex/bus";
import {
  accountBlocked,
  accountRegistered,
  accountTotalsGet,
  balanceChanged,
  balancesChanged,
  balanceGet,
  balanceLow,
  channelsKv,
  commandVerdicts,
  epochOpen,
  grantCommand,
  imageQuota,
  jwksGet,
  keyChanged,
  keyReport,
  keyReported,
  keyResolve,
  keyResolveV1,
  keyRevocations,
  keySpendGet,
  keyUsesReport,
  leaseGrant,
  leaseRecall,
  leaseRecalled,
  leaseRecover,
  leaseReturn,
  priceBookKv,
  referralCodeGet,
  refundCommand,
  sessionCheck,
  sessionCheckV2,
  usageEnvelope,
  usageGet,
  usagePartitions,
  watermarkGet,
  type EventDef,
} from "@codex/contracts";

/**
 * The boundary of each service: what it may do at NATS and at Redis, beside its own schema in Postgres (SEC-03). The one table
 * to change when a service says or hears something new; a test holds it against the tables in the services' READMEs.
 */
export interface Boundary {
  readonly service: string;
  /** Its schema in Postgres, and its user's name at NATS and Redis. */
  readonly name: "auth" | "keys" | "gateway" | "billing" | "images" | "bonus";
  readonly bus: BoundaryBus;
  /** Beginning of its keys in Redis; absent: it has no user there. */
  readonly redisPrefix?: string;
}

/** With what is read of each stream, which the server cannot hold a consumer to: it is bound by its name (ADR 0019). */
type BoundaryBus = Omit<BusNeeds, "consumes" | "reads"> & {
  readonly consumes?: readonly (NonNullable<BusNeeds["consumes"]>[number] & { readonly events: readonly EventDef[] })[];
  readonly reads?: readonly (NonNullable<BusNeeds["reads"]>[number] & { readonly events: readonly EventDef[] })[];
};

/** User of NATS for whoever sets up, looks and mends. */
export const administrator = "codex";

/** The second form, and the first one of an auth of the version before. */
const asksSessions = [jwksGet, sessionCheckV2, sessionCheck];

export const boundaries: readonly Boundary[] = [
  {
    service: "auth",
    name: "auth",
    bus: {
      serviceName: "auth",
      serves: [sessionCheck, sessionCheckV2, jwksGet],
      publishes: [accountRegistered, accountBlocked],
      consumes: [{ stream: "EVENTS", durable: "auth-notices", events: [keyReported] }],
    },
    redisPrefix: "auth:",
  },
  {
    service: "key-registry",
    name: "keys",
    bus: {
      serviceName: "key-registry",
      serves: [keyResolve, keyResolveV1, keyUsesReport, keyReport],
      calls: asksSessions,
      publishes: [keyChanged, keyReported],
      writesKv: [keyRevocations],
    },
  },
  {
    service: "gateway-proxy",
    name: "gateway",
    bus: {
      calls: [
        ...asksSessions,
        keyResolve,
        keyResolveV1,
        keyUsesReport,
        keyReport,
        epochOpen,
        leaseGrant,
        leaseReturn,
        leaseRecover,
        watermarkGet,
        balanceGet,
        usageGet,
        keySpendGet,
        accountTotalsGet,
      ],
      publishes: [usageEnvelope],
      watchesEnds: ["USAGE"],
      writesKv: [channelsKv],
      readsKv: [priceBookKv, keyRevocations],
      signals: [leaseRecalled],
      hearsSignals: [leaseRecall],
    },
    redisPrefix: "gw:",
  },
  {
    service: "billing-ledger",
    name: "billing",
    bus: {
      serviceName: "billing-ledger",
      serves: [
        epochOpen,
        leaseGrant,
        leaseReturn,
        leaseRecover,
        watermarkGet,
        balanceGet,
        commandVerdicts,
        usageGet,
        keySpendGet,
        accountTotalsGet,
      ],
      calls: asksSessions,
      publishes: [balanceChanged, balancesChanged, balanceLow],
      consumes: [
        { stream: "COMMANDS", durable: "billing-grants", events: [grantCommand] },
        { stream: "COMMANDS", durable: "billing-refunds", events: [refundCommand] },
        { stream: "EVENTS", durable: "billing-account-blocks", events: [accountBlocked] },
      ],
      reads: [
        {
          stream: "USAGE",
          events: [usageEnvelope],
          consumers: Array.from(
            { length: usagePartitions },
            (_none, partition) => `billing-usage-${String(partition)}`,
          ),
        },
      ],
      writesKv: [priceBookKv],
      signals: [leaseRecall],
      hearsSignals: [leaseRecalled],
      makesTopology: true,
    },
  },
  {
    service: "image-cache",
    name: "images",
    bus: { serviceName: "image-cache", serves: [imageQuota], calls: asksSessions },
  },
  {
    service: "telegram-bonus",
    name: "bonus",
    bus: { serviceName: "telegram-bonus", serves: [referralCodeGet], calls: asksSessions },
  },
];

export function busPermissionsOf(boundary: Boundary): BusPermissions {
  const answersTo = answersToOf(boundary);
  return busPermissions(boundary.name, { ...boundary.bus, ...(answersTo === undefined ? {} : { answersTo }) });
}

/** Whoever asks it anything, and the administrator; undefined for a service that reads no stream and may answer anybody. */
export function answersToOf({ bus: { reads = [], serves = [] } }: Boundary): readonly string[] | undefined {
  if (reads.length === 0) return undefined;
  const askers = boundaries.filter(({ bus }) => bus.calls?.some((call) => serves.includes(call)));
  return [...askers.map(({ name }) => name), administrator];
}

/**
 * Rules of a user of Redis (https://redis.io/docs/latest/operate/oss_and_stack/management/security/acl/): the keys of its own
 * service, and none of the commands that look at, empty or change the server.
 */
export function redisRules(prefix: string): readonly string[] {
  return [
    "resetchannels",
    `~${prefix}*`,
    "+@connection",
    "+@read",
    "+@write",
    "+@transaction",
    "+@scripting",
    "+time",
    "-@dangerous",
    "-@blocking",
    // The client asks it once, to see whether the data is loaded.
    "+info",
    // What a client of a Redis Cluster asks: where which key is, and whether all of them are somewhere.
    "+cluster|slots",
    "+cluster|info",
    // What shows the names of other services' keys, and what touches the scripts of all.
    "-scan",
    "-randomkey",
    "-dbsize",
    "-script|flush",
    "-script|kill",
    "-script|debug",
    "-function",
  ];
}

/** Everybody's users, for the configuration of the servers. `password` gives the password of a user, the same at each call. */
export function serverUsers(password: (server: "nats" | "redis", name: Boundary["name"]) => string) {
  return {
    nats: boundaries.map((boundary) => ({
      name: boundary.name,
      password: password("nats", boundary.name),
      permissions: busPermissionsOf(boundary),
    })),
    redis: boundaries.flatMap(({ name, redisPrefix }) =>
      redisPrefix === undefined ? [] : [{ name, password: password("redis", name), rules: redisRules(redisPrefix) }],
    ),
  };
}
