import { keyCreated } from "@codex/contracts";
import { idToUuid, newId, type AccountId } from "@codex/kernel";
import { eventually } from "@codex/testkit";
import { randomBytes } from "node:crypto";
import { z } from "zod";
import { send, type Visitor } from "./visitor.ts";
import type { World } from "./world.ts";

/** Things that belong to somebody, one of each kind that a path can name. */

export interface Objects {
  /** Service and parameter ("billing-ledger disputeId") → an id that is there. */
  readonly real: ReadonlyMap<string, string>;
  /** The same → an id of the same form that is nobody's. */
  readonly missing: ReadonlyMap<string, string>;
  /** The owner's own, whole. */
  readonly apiKey: string;
}

const paid = z.looseObject({ id: z.string() });
const sessions = z.looseObject({ sessions: z.array(z.looseObject({ sessionId: z.string(), current: z.boolean() })) });
const operated = z.looseObject({ sessions: z.array(z.looseObject({ sessionRef: z.string() })) });
const lines = z.looseObject({ lines: z.array(z.looseObject({ transferId: z.string() })) });
const dispute = z.looseObject({ dispute: z.looseObject({ disputeId: z.string() }) });
const channels = z.looseObject({
  channel: z.looseObject({ channelId: z.string(), keys: z.array(z.looseObject({ keyId: z.string() })) }),
});
const batch = z.looseObject({ batch: z.looseObject({ batchId: z.string() }) });
const proposed = z.looseObject({ outcome: z.literal("proposed"), proposalId: z.string() });

const key = (): Readonly<Record<string, string>> => ({ "idempotency-key": randomBytes(16).toString("hex") });
/** Far above what one operator may do alone. */
const hugeAmount = "900000000";

/** Makes them for this customer, by the public API where it can. */
export async function makeObjects(world: World, owner: Visitor): Promise<Objects> {
  const { operator } = world;
  const { accountId } = owner;
  await world.fund(owner);
  const channel = await makeChannel(world);
  const made = await owner.must(keyCreated, "POST", "/api/keys", { name: "victim" });
  const requestId = await payFor(world, made.secret);
  const opened = await owner.must(
    dispute,
    "POST",
    "/api/billing/disputes",
    { requestId, reason: "other", text: "why?" },
    key(),
  );
  const statement = await owner.must(lines, "GET", "/api/billing/statement");
  const own = await owner.must(sessions, "GET", "/api/auth/sessions");
  const seen = await operator.must(operated, "GET", `/api/auth/operator/accounts/${accountId}/sessions`);
  const passkeyId = randomBytes(32).toString("base64url");
  await world.query(
    `insert into auth.passkey (credential_id, account_id, public_key, counter, transports, name, created_at)
       select $1, id, '\\x00', 0, '{}', 'victim', now() from auth.account where email = $2`,
    [passkeyId, owner.email],
  );
  const reason = { reason: "abuse suite", ticket: "T-1" };
  const vouchers = {
    count: 1,
    amount: "1",
    bucket: "bonus",
    expiresAt: null,
    maxPerAccount: 1,
    note: "",
    reason: "abuse",
  };
  const { batch: issued } = await operator.must(
    batch,
    "POST",
    "/api/billing/operator/voucher-batches",
    vouchers,
    key(),
  );
  const adjustment = { accountId, bucket: "bonus", amount: hugeAmount, ...reason };
  const proposal = await operator.must(proposed, "POST", "/api/billing/operator/adjustments", adjustment, key());
  const real = new Map([
    ["auth accountId", accountId],
    ["auth sessionId", own.sessions[0]?.sessionId ?? ""],
    ["auth sessionRef", seen.sessions[0]?.sessionRef ?? ""],
    ["auth passkeyId", passkeyId],
    ["billing-ledger accountId", accountId],
    ["billing-ledger requestId", requestId],
    ["billing-ledger disputeId", opened.dispute.disputeId],
    ["billing-ledger transferId", statement.lines[0]?.transferId ?? ""],
    ["billing-ledger proposalId", proposal.proposalId],
    ["billing-ledger batchId", issued.batchId],
    ["billing-ledger version", "1"],
    // Not an object: everybody has every month.
    ["billing-ledger month", "2026-01"],
    ["gateway-proxy channelId", channel.channelId],
    ["gateway-proxy keyId", channel.keys[0]?.keyId ?? ""],
    ["key-registry keyId", made.key.keyId],
  ]);
  return { real, missing: missingIds(), apiKey: made.secret };
}

/** Of the right form, and nobody's. */
function missingIds(): ReadonlyMap<string, string> {
  return new Map([
    ["auth accountId", newId("acc")],
    ["auth sessionId", newId("ses")],
    ["auth sessionRef", randomBytes(16).toString("base64url")],
    ["auth passkeyId", randomBytes(32).toString("base64url")],
    ["billing-ledger accountId", newId("acc")],
    ["billing-ledger requestId", newId("req")],
    ["billing-ledger disputeId", newId("dsp")],
    ["billing-ledger transferId", newId("trf")],
    ["billing-ledger proposalId", newId("ppl")],
    ["billing-ledger batchId", newId("vcb")],
    ["billing-ledger version", "999999"],
    ["billing-ledger month", "2026-01"],
    ["gateway-proxy channelId", newId("chn")],
    ["gateway-proxy keyId", newId("upk")],
    ["key-registry keyId", newId("key")],
  ]);
}

/** The channel of the demo upstream; made once a world. */
async function makeChannel(world: World): Promise<z.output<typeof channels>["channel"]> {
  const { operator } = world;
  const listed = await operator.must(
    z.looseObject({ channels: z.array(channels.shape.channel) }),
    "GET",
    "/api/gateway/channels",
  );
  const [present] = listed.channels;
  if (present) return present;
  const body = {
    name: "demo",
    kind: "demo",
    baseUrl: `${world.demoUpstreamUrl}/v1`,
    secret: "demo-secret",
    models: { "demo-small": "demo-small" },
  };
  const made = await operator.must(channels, "POST", "/api/gateway/channels", body);
  return made.channel;
}

/** One paid request, booked. */
async function payFor(world: World, apiKey: string): Promise<string> {
  const body = JSON.stringify({ model: "demo-small", messages: [{ role: "user", content: "hi" }] });
  const headers = { authorization: `Bearer ${apiKey}` };
  const requestId = await eventually(
    async () => {
      const answer = await send(world.pool, { method: "POST", path: "/v1/chat/completions", headers, body });
      if (answer.status !== 200) throw new Error(answer.text);
      paid.parse(JSON.parse(answer.text));
      return answer.headers["x-request-id"];
    },
    { timeoutMs: 60_000, what: "a paid request" },
  );
  const booked = async (): Promise<boolean> => {
    const path = `/v1/generation?id=${requestId}`;
    return (await send(world.pool, { method: "GET", path, headers })).status === 200;
  };
  await eventually(booked, { timeoutMs: 60_000, what: "the usage to be booked" });
  return requestId;
}

const owned = [
  "auth.session",
  "auth.passkey",
  "auth.totp",
  "auth.recovery_code",
  "auth.link",
  "auth.consent",
  "keys.api_key",
  "billing.dispute",
];

/** What belongs to the account, as a digest of its rows: equal before and after means that nobody has touched it. */
export async function belongings(world: World, accountId: AccountId): Promise<string> {
  const events = "billing.dispute_event where dispute_id in (select id from billing.dispute where account_id = $1)";
  const sources = [...owned.map((table) => `${table} where account_id = $1`), events];
  const digests = await Promise.all(
    sources.map((source) =>
      world.query<{ digest: string | null }>(
        // When a key or a session was last used is told late, and is the owner's own doing.
        // eslint-disable-next-line security/parameterised-sql -- tables of the list above.
        `select md5(string_agg(row::text, '|' order by row::text)) as digest
           from (select to_jsonb(t) - 'last_used_at' - 'last_used_client' - 'last_seen_at' as row from (select * from ${source}) t) as rows`,
        [idToUuid(accountId)],
      ),
    ),
  );
  return JSON.stringify(digests);
}
