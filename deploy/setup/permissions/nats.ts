import {
  accountRegistered,
  allEvents,
  allKvs,
  allRpcs,
  allSignals,
  channelsKv,
  deadLetterSubject,
  grantCommand,
  jwksGet,
  keyChanged,
  keyResolve,
  keyRevocations,
  leaseGrant,
  priceBookKv,
  refundCommand,
  sessionCheckV2,
  streams,
  subjectOf,
  usageEnvelope,
  wildcardOf,
} from "@codex/contracts";
import { PermissionViolationError, type NatsConnection } from "@nats-io/nats-core";
import { connect } from "@nats-io/transport-node";
import { answersToOf, boundaries, type Boundary } from "../src/boundary.ts";
import type { Attempt, Control, Tried } from "./attempt.ts";
import type { World } from "./world.ts";

/** Something said or heard. */
interface Deed {
  readonly operation: "publish" | "subscription";
  readonly subject: string;
}

const one = { keyId: "x", accountId: "x", partition: "0", requestId: "x" };

/**
 * Whatever the table of boundaries says: who alone may say or hear what others rely on. A mistake in the table would otherwise
 * make its own test smaller.
 */
const reserved: readonly (Deed & { readonly by: readonly Boundary["name"][] })[] = [
  { operation: "publish", subject: subjectOf(usageEnvelope.pattern, one), by: ["gateway"] },
  { operation: "publish", subject: subjectOf(grantCommand.pattern, one), by: ["bonus"] },
  { operation: "publish", subject: subjectOf(refundCommand.pattern, one), by: [] },
  { operation: "publish", subject: subjectOf(keyChanged.pattern, one), by: ["keys"] },
  { operation: "publish", subject: subjectOf(accountRegistered.pattern, one), by: ["auth"] },
  { operation: "publish", subject: `$KV.${keyRevocations.bucket}.x`, by: ["keys"] },
  { operation: "publish", subject: `$KV.${priceBookKv.bucket}.x`, by: ["billing"] },
  { operation: "publish", subject: `$KV.${channelsKv.bucket}.x`, by: ["gateway"] },
  { operation: "publish", subject: leaseGrant.subject, by: ["gateway"] },
  { operation: "publish", subject: keyResolve.subject, by: ["gateway"] },
  { operation: "subscription", subject: sessionCheckV2.subject, by: ["auth"] },
  { operation: "subscription", subject: jwksGet.subject, by: ["auth"] },
  { operation: "subscription", subject: keyResolve.subject, by: ["keys"] },
  { operation: "subscription", subject: leaseGrant.subject, by: ["billing"] },
];

/** Every subject that a contract names, and the server's own ways to read and destroy what others wrote. */
function allDeeds(boundary: Boundary): readonly Deed[] {
  const { bus, name } = boundary;
  const kept = new Set<string>([
    ...(bus.calls ?? []).map(({ subject }) => `publish ${subject}`),
    ...(bus.serves ?? []).map(({ subject }) => `subscription ${subject}`),
    ...(bus.publishes ?? []).map(({ pattern }) => `publish ${pattern}`),
    ...(bus.signals ?? []).map(({ pattern }) => `publish ${pattern}`),
    ...(bus.hearsSignals ?? []).map(({ pattern }) => `subscription ${pattern}`),
    ...(bus.writesKv ?? []).map(({ bucket }) => `publish $KV.${bucket}`),
    ...[...(bus.writesKv ?? []), ...(bus.readsKv ?? [])].map(({ bucket }) => `read KV_${bucket}`),
    ...(bus.reads ?? []).map(({ stream }) => `purge ${stream}`),
  ]);
  const deeds = (
    names: readonly { readonly key: string; readonly operation: Deed["operation"]; readonly subject: string }[],
  ): readonly Deed[] => names.filter(({ key }) => !kept.has(key));
  const streamNames = [
    ...Object.values(streams).map((stream) => stream.name),
    ...allKvs.map(({ bucket }) => `KV_${bucket}`),
  ];
  return [
    ...reserved.filter(({ by }) => !by.includes(name)),
    ...deeds(
      allRpcs.flatMap(({ subject }) => [
        { key: `publish ${subject}`, operation: "publish", subject },
        { key: `subscription ${subject}`, operation: "subscription", subject },
      ]),
    ),
    ...deeds(
      [...allEvents, ...allSignals].flatMap(({ pattern }) => [
        { key: `publish ${pattern}`, operation: "publish", subject: subjectOf(pattern, one) },
        { key: `subscription ${pattern}`, operation: "subscription", subject: wildcardOf(pattern) },
      ]),
    ),
    ...deeds(
      allKvs.map(({ bucket }) => ({ key: `publish $KV.${bucket}`, operation: "publish", subject: `$KV.${bucket}.x` })),
    ),
    ...deeds(
      streamNames.flatMap((stream) => [
        { key: `read ${stream}`, operation: "publish", subject: `$JS.API.CONSUMER.CREATE.${stream}.x.>` },
        { key: `read ${stream}`, operation: "publish", subject: `$JS.API.DIRECT.GET.${stream}` },
        { key: `purge ${stream}`, operation: "publish", subject: `$JS.API.STREAM.PURGE.${stream}` },
        { key: "", operation: "publish", subject: `$JS.API.STREAM.DELETE.${stream}` },
        { key: "", operation: "publish", subject: `$JS.API.STREAM.UPDATE.${stream}` },
        { key: "", operation: "publish", subject: `$JS.API.STREAM.MSG.DELETE.${stream}` },
      ]),
    ),
    ...boundaries
      .filter((other) => other.name !== name)
      .map((other) => ({ operation: "subscription", subject: `_INBOX_${other.name}.>` }) as const),
    // An answer that nobody asked for; who reads a stream has the right for those who may ask it.
    ...boundaries
      .filter((other) => answersToOf(boundary)?.includes(other.name) !== true)
      .map((other) => ({ operation: "publish", subject: `_INBOX_${other.name}.x.y` }) as const),
    { operation: "publish", subject: deadLetterSubject("EVENTS", "x") },
    { operation: "publish", subject: "cmd.billing.adjust.v1.x" },
    { operation: "publish", subject: "$JS.API.STREAM.CREATE.X" },
    { operation: "publish", subject: "$SYS.REQ.SERVER.PING" },
    { operation: "publish", subject: "_INBOX.x" },
    ...[">", "*.>", "_INBOX.>", "$KV.>", "$JS.>", "$SYS.>", "cmd.>", "evt.>", "usage.>", "dlq.>", "rpc.>"].map(
      (subject) => ({ operation: "subscription", subject }) as const,
    ),
  ];
}

export async function tryNats(world: World): Promise<Tried> {
  const attempts: Attempt[] = [];
  const controls: Control[] = [];
  for (const boundary of boundaries) {
    const { name } = boundary;
    const nc = await open(world.natsUrl(name));
    try {
      const denied = await violations(nc, allDeeds(boundary));
      for (const deed of allDeeds(boundary)) {
        const outcome = denied.has(wordsOf(deed)) ? "denied" : "ALLOWED";
        attempts.push({ server: "nats", as: name, what: wordsOf(deed), outcome });
      }
      const reply = await nc.request("$JS.API.INFO", undefined, { timeout: 5_000 }).catch(() => undefined);
      controls.push({
        server: "nats",
        as: name,
        what: "publish $JS.API.INFO and hear the answer",
        works: reply !== undefined,
      });
    } finally {
      await nc.close();
    }
  }
  attempts.push(await anonymous(world.anonymous.nats));
  return { attempts, controls };
}

const wordsOf = ({ operation, subject }: Deed): string =>
  `${operation === "publish" ? "publish" : "subscribe"} ${subject}`;

/** The server tells of what it refuses before it answers the ping that comes behind. */
async function violations(nc: NatsConnection, deeds: readonly Deed[]): Promise<ReadonlySet<string>> {
  const denied = new Set<string>();
  const note = (error: unknown): void => {
    if (error instanceof PermissionViolationError)
      denied.add(
        wordsOf({ operation: error.operation === "publish" ? "publish" : "subscription", subject: error.subject }),
      );
  };
  void (async () => {
    for await (const status of nc.status()) if (status.type === "error") note(status.error);
  })();
  for (const { operation, subject } of deeds) {
    if (operation === "publish") nc.publish(subject, "x");
    else nc.subscribe(subject, { callback: (error) => note(error) });
  }
  await nc.flush();
  // What was read together with the answer is handed on a turn later.
  await new Promise((resolve) => setImmediate(resolve));
  return denied;
}

async function anonymous(url: string): Promise<Attempt> {
  const outcome = await open(url).then(
    async (nc) => {
      await nc.close();
      return "ALLOWED" as const;
    },
    () => "denied" as const,
  );
  return { server: "nats", as: "nobody", what: "connect", outcome };
}

async function open(url: string): Promise<NatsConnection> {
  const { host, username, password } = new URL(url);
  return connect({
    servers: host,
    name: "permissions",
    ...(username === "" ? {} : { user: username, pass: password, inboxPrefix: `_INBOX_${username}` }),
    reconnect: false,
    timeout: 5_000,
    noAsyncTraces: true,
  });
}
