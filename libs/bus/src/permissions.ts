import {
  allKvs,
  deadLetterSubject,
  streams,
  wildcardOf,
  type EventDef,
  type KvDef,
  type RpcDef,
  type SignalDef,
  type StreamName,
} from "@codex/contracts";

/**
 * What a program may say and hear on NATS, out of the contracts that it has to do with (SEC-03). Everything that is not listed
 * is refused by the server.
 *
 * Glossary
 *   user     one account at the server; every replica of a service signs in as the same
 *   inbox    where answers come to: `_INBOX_<user>.…`, so that nobody hears the answers to another
 */
export interface BusNeeds {
  /** As which it serves RPCs; discovery asks by this name. */
  readonly serviceName?: string;
  readonly serves?: readonly RpcDef[];
  /**
   * Users to whose inboxes it may write, in place of the right to answer whoever asks. For a program that reads a stream: the
   * server remembers for that right each message that it delivers, and above 4,096 of them goes over all at every further one
   * (docs/adr/0023).
   */
  readonly answersTo?: readonly string[];
  readonly calls?: readonly RpcDef[];
  /** Events and commands that it publishes. */
  readonly publishes?: readonly EventDef[];
  /** Durable consumers, with their dead letters. */
  readonly consumes?: readonly { readonly stream: StreamName; readonly durable: string }[];
  /** Reads a stream behind a position of its own, by consumers of these names, and trims it below that. */
  readonly reads?: readonly { readonly stream: StreamName; readonly consumers: readonly string[] }[];
  /** Looks at the ends of a stream. */
  readonly watchesEnds?: readonly StreamName[];
  /** Writes a bucket, reads it, and makes it when it is missing. */
  readonly writesKv?: readonly KvDef[];
  /** Reads and watches a bucket. */
  readonly readsKv?: readonly KvDef[];
  readonly signals?: readonly SignalDef[];
  readonly hearsSignals?: readonly SignalDef[];
  /** Makes streams and buckets that are missing; to change one takes the administrator. */
  readonly makesTopology?: boolean;
}

export interface BusPermissions {
  readonly publish: readonly string[];
  readonly subscribe: readonly string[];
  /** May answer what it was asked: one message an ask, within half a minute. */
  readonly answers: boolean;
}

const userPattern = /^[a-z][a-z0-9-]{0,31}$/;

/** Prefix of the inboxes of a user; undefined for a name that is not one plain token. */
export function inboxPrefixOf(user: string): string | undefined {
  return userPattern.test(user) ? `_INBOX_${user}` : undefined;
}

/** Sorted, each subject once. Throws RangeError for a user's name that cannot be in a subject. */
export function busPermissions(user: string, needs: BusNeeds): BusPermissions {
  const inbox = inboxOf(user);
  const { serves = [], answersTo, calls = [], publishes = [], signals = [], hearsSignals = [] } = needs;
  return {
    publish: unique([
      "$JS.API.INFO",
      ...calls.map(({ subject }) => subject),
      ...(answersTo ?? []).map((asker) => `${inboxOf(asker)}.>`),
      ...publishes.map(({ pattern }) => wildcardOf(pattern)),
      ...signals.map(({ pattern }) => wildcardOf(pattern)),
      ...streamSubjects(needs),
      ...bucketSubjects(needs),
    ]),
    subscribe: unique([
      `${inbox}.>`,
      ...serves.map(({ subject }) => subject),
      ...hearsSignals.map(({ pattern }) => wildcardOf(pattern)),
      ...(needs.serviceName === undefined ? [] : discoverySubjects(needs.serviceName)),
    ]),
    answers: serves.length > 0 && answersTo === undefined,
  };
}

function inboxOf(user: string): string {
  const inbox = inboxPrefixOf(user);
  if (inbox === undefined) throw new RangeError("a NATS user's name is lower-case letters, digits and -, 32 at most");
  return inbox;
}

function streamSubjects({ consumes = [], reads = [], watchesEnds = [], makesTopology }: BusNeeds): readonly string[] {
  return [
    ...consumes.flatMap(({ stream, durable }) => [
      `$JS.API.STREAM.INFO.${stream}`,
      ...consumerSubjects(stream, durable),
      ...ackSubjects(stream, durable),
      deadLetterSubject(stream, durable),
    ]),
    ...reads.flatMap(({ stream, consumers }) => [
      ...["INFO", "MSG.GET", "PURGE"].map((call) => `$JS.API.STREAM.${call}.${stream}`),
      ...consumers.flatMap((name) => consumerSubjects(stream, name)),
    ]),
    ...watchesEnds.map((stream) => `$JS.API.STREAM.INFO.${stream}`),
    ...(makesTopology === true ? allStreamNames().flatMap((stream) => makeSubjects(stream)) : []),
  ];
}

/** Servers write the name of the consumer, and its filter behind it, into the subject since 2.9. */
function consumerSubjects(stream: string, name: string): readonly string[] {
  return [
    ...["CREATE", "DURABLE.CREATE", "INFO", "DELETE", "MSG.NEXT"].map(
      (call) => `$JS.API.CONSUMER.${call}.${stream}.${name}`,
    ),
    `$JS.API.CONSUMER.CREATE.${stream}.${name}.>`,
  ];
}

/** The second form, with domain and account, is the one of ADR-15 of nats-architecture-and-design. */
function ackSubjects(stream: string, durable: string): readonly string[] {
  return [`$JS.ACK.${stream}.${durable}.>`, `$JS.ACK.*.*.${stream}.${durable}.>`];
}

function bucketSubjects({ writesKv = [], readsKv = [] }: BusNeeds): readonly string[] {
  const written = writesKv.flatMap(({ bucket }) => [`$KV.${bucket}.>`, ...makeSubjects(`KV_${bucket}`)]);
  const read = [...writesKv, ...readsKv].flatMap(({ bucket }) => [
    `$JS.API.STREAM.INFO.KV_${bucket}`,
    `$JS.API.STREAM.MSG.GET.KV_${bucket}`,
    // Watching makes consumers with names of chance, which the client throws away.
    `$JS.API.CONSUMER.CREATE.KV_${bucket}.>`,
    `$JS.API.CONSUMER.INFO.KV_${bucket}.*`,
    `$JS.API.CONSUMER.DELETE.KV_${bucket}.*`,
    `$JS.FC.KV_${bucket}.>`,
  ]);
  return [...written, ...read];
}

function makeSubjects(stream: string): readonly string[] {
  return [`$JS.API.STREAM.INFO.${stream}`, `$JS.API.STREAM.CREATE.${stream}`];
}

function allStreamNames(): readonly string[] {
  return [...Object.values(streams).map(({ name }) => name), ...allKvs.map(({ bucket }) => `KV_${bucket}`)];
}

/** NATS services framework, ADR-32 of nats-architecture-and-design. */
function discoverySubjects(name: string): readonly string[] {
  return ["PING", "INFO", "STATS"].flatMap((verb) => ["", `.${name}`, `.${name}.*`].map((of) => `$SRV.${verb}${of}`));
}

function unique(subjects: readonly string[]): readonly string[] {
  return [...new Set(subjects)].toSorted();
}

export interface BusUser {
  readonly name: string;
  /** As the configuration has it: a quoted text, or `$NAME` of an environment variable. */
  readonly password: string;
  /** Absent: everything, for the administrator. */
  readonly permissions?: BusPermissions;
}

/**
 * What is in the server's `authorization` block, in the form of its configuration file. A client has 10 s to sign in: with the
 * server's own 2 s, services that start together on a busy machine were turned away.
 */
export function renderBusUsers(users: readonly BusUser[]): string {
  return `timeout: 10\n  users: [\n${users.map(renderUser).join("\n")}\n  ]`;
}

function renderUser({ name, password, permissions }: BusUser): string {
  const head = `    { user: "${name}", password: ${password}`;
  if (!permissions) return `${head} }`;
  const { publish, subscribe, answers } = permissions;
  return [
    `${head}, permissions: {`,
    `      publish: { allow: ${list(publish)} }`,
    `      subscribe: { allow: ${list(subscribe)} }`,
    ...(answers ? ['      allow_responses: { max: 1, expires: "30s" }'] : []),
    "    } }",
  ].join("\n");
}

function list(subjects: readonly string[]): string {
  return `[\n${subjects.map((subject) => `        ${JSON.stringify(subject)}`).join("\n")}\n      ]`;
}
