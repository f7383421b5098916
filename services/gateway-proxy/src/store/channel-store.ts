import type { ChannelState } from "@codex/contracts";
import { isUniqueViolation, type Db } from "@codex/db";
import { idToUuid, newId, type ChannelId } from "@codex/kernel";
import { sql, type Insertable, type Transaction } from "kysely";
import type {
  Act,
  Changed,
  ChannelSet,
  ChannelSettings,
  ChannelStore,
  NewChannel,
  StoreRefusal,
} from "../app/ports.ts";
import { fromDbAct, fromDbChannel, fromDbKey, toDbKey, toDbSettings } from "./mapping.ts";
import type { GatewayTables, KeyTable } from "./schema.ts";

type Trx = Transaction<GatewayTables>;

const channelsMax = 500;
const keysMax = 50;

/** `fits`: a change that adds is not committed when workers could not be told of the set. */
export function channelStore(db: Db<GatewayTables>, fits: (set: ChannelSet) => boolean): ChannelStore {
  const change = changing(db, fits);
  return {
    all: () => db.transaction(readAll, { isolation: "repeatable read" }),
    async version() {
      const row = await db.kysely.selectFrom("channel_version").select("version").executeTakeFirstOrThrow();
      return Number(row.version);
    },
    create: (channel, act) => change(channel.channelId, act, (trx) => insertChannel(trx, channel), "grows"),
    update: (channelId, version, settings, act) =>
      change(channelId, act, (trx, id) => updateChannel(trx, id, version, settings), "grows"),
    setState: (channelId, from, to, act) => change(channelId, act, (trx, id) => setState(trx, id, from, to)),
    remove: (channelId, act) => change(channelId, act, removeChannel),
    addKey: (channelId, key, act) =>
      change(channelId, act, (trx, id) => insertKey(trx, id, toDbKey(channelId, key)), "grows"),
    removeKey: (channelId, keyId, act) => change(channelId, act, (trx, id) => removeKey(trx, id, idToUuid(keyId))),
    setKeyEnabled: (channelId, keyId, enabled, act) =>
      change(channelId, act, (trx, id) => setKeyEnabled(trx, id, idToUuid(keyId), enabled)),
    rewrap: (changeKey, act) => db.transaction((trx) => rewrapAll(trx, changeKey, act)),
    async acts(channelId, limit) {
      const newest = db.kysely
        .selectFrom("channel_act")
        .selectAll()
        .orderBy("at", "desc")
        .orderBy("id", "desc")
        .limit(limit);
      const wanted = channelId === undefined ? newest : newest.where("channel_id", "=", idToUuid(channelId));
      return (await wanted.execute()).map(fromDbAct);
    },
  };
}

/** Carries a refusal out of a transaction, which rolls it back. */
class Refused extends Error {
  readonly refusal: StoreRefusal;

  constructor(refusal: StoreRefusal) {
    super(refusal);
    this.refusal = refusal;
  }
}

type Change = (
  channelId: ChannelId,
  act: Act,
  work: (trx: Trx, id: string) => Promise<StoreRefusal | undefined>,
  grows?: "grows",
) => Promise<Changed>;

/** The change, its act, and the growing version that orders snapshots, together or not at all. */
function changing(db: Db<GatewayTables>, fits: (set: ChannelSet) => boolean): Change {
  return async (channelId, act, work, grows) => {
    const id = idToUuid(channelId);
    try {
      const set = await db.transaction(async (trx) => {
        // First of all, so that changes queue here and none reads what another is about to change.
        await grow(trx);
        const named = await nameOf(trx, id);
        const refusal = await work(trx, id);
        if (refusal !== undefined) throw new Refused(refusal);
        await insertAct(trx, act, id, (await nameOf(trx, id)) ?? named);
        const changed = await readAll(trx);
        if (grows && !fits(changed)) throw new Refused("too_large");
        return changed;
      });
      return { ok: true, set };
    } catch (error) {
      if (error instanceof Refused) return { ok: false, refusal: error.refusal };
      if (isUniqueViolation(error)) return { ok: false, refusal: "conflict" };
      throw error;
    }
  };
}

async function grow(trx: Trx): Promise<void> {
  await trx
    .updateTable("channel_version")
    .set({ version: sql`version + 1` })
    .execute();
}

async function nameOf(trx: Trx, id: string): Promise<string | null> {
  const row = await trx.selectFrom("upstream_channel").select("name").where("id", "=", id).executeTakeFirst();
  return row?.name ?? null;
}

async function insertAct(trx: Trx, act: Act, channelId: string | null, channelName: string | null): Promise<void> {
  await trx
    .insertInto("channel_act")
    .values({
      id: idToUuid(newId("act")),
      actor_id: act.actorId === null ? null : idToUuid(act.actorId),
      act: act.act,
      channel_id: channelId,
      channel_name: channelName,
      change: JSON.stringify(act.change),
    })
    .execute();
}

async function insertChannel(trx: Trx, channel: NewChannel): Promise<StoreRefusal | undefined> {
  const { count } = await trx
    .selectFrom("upstream_channel")
    .select(trx.fn.countAll<bigint>().as("count"))
    .executeTakeFirstOrThrow();
  if (count >= channelsMax) return "conflict";
  await trx
    .insertInto("upstream_channel")
    .values({
      id: idToUuid(channel.channelId),
      kind: channel.kind,
      name: channel.name,
      base_url: channel.baseUrl,
      egress: channel.egress,
      api_version: channel.apiVersion,
      models: JSON.stringify(channel.models),
      priority: channel.priority,
      weight: channel.weight,
      state: "enabled",
      first_byte_timeout_ms: channel.firstByteTimeoutMs,
      between_bytes_timeout_ms: channel.betweenBytesTimeoutMs,
      concurrency_max: channel.concurrencyMax,
      daily_budget_micro_tokens: channel.dailyBudgetMicroTokens,
      daily_requests_max: channel.dailyRequestsMax,
    })
    .execute();
  if (channel.key) await trx.insertInto("upstream_key").values(toDbKey(channel.channelId, channel.key)).execute();
  return undefined;
}

async function updateChannel(
  trx: Trx,
  id: string,
  version: number,
  settings: Partial<ChannelSettings>,
): Promise<StoreRefusal | undefined> {
  const { numUpdatedRows } = await trx
    .updateTable("upstream_channel")
    .set({ ...toDbSettings(settings), version: sql`version + 1`, updated_at: sql`now()` })
    .where("id", "=", id)
    .where("version", "=", version)
    .executeTakeFirst();
  return numUpdatedRows === 1n ? undefined : missing(trx, id);
}

async function setState(
  trx: Trx,
  id: string,
  from: readonly ChannelState[],
  to: ChannelState,
): Promise<StoreRefusal | undefined> {
  const { numUpdatedRows } = await trx
    .updateTable("upstream_channel")
    .set({ state: to, version: sql`version + 1`, updated_at: sql`now()` })
    .where("id", "=", id)
    .where("state", "in", from)
    .executeTakeFirst();
  return numUpdatedRows === 1n ? undefined : missing(trx, id);
}

async function removeChannel(trx: Trx, id: string): Promise<StoreRefusal | undefined> {
  const { numDeletedRows } = await trx
    .deleteFrom("upstream_channel")
    .where("id", "=", id)
    .where("state", "=", "disabled")
    .executeTakeFirst();
  return numDeletedRows === 1n ? undefined : missing(trx, id);
}

async function insertKey(trx: Trx, id: string, key: Insertable<KeyTable>): Promise<StoreRefusal | undefined> {
  if (!(await touch(trx, id))) return "not_found";
  const { count } = await trx
    .selectFrom("upstream_key")
    .select(trx.fn.countAll<bigint>().as("count"))
    .where("channel_id", "=", id)
    .executeTakeFirstOrThrow();
  if (count >= keysMax) return "conflict";
  await trx.insertInto("upstream_key").values(key).execute();
  return undefined;
}

async function removeKey(trx: Trx, id: string, keyId: string): Promise<StoreRefusal | undefined> {
  if (!(await touch(trx, id))) return "not_found";
  const { numDeletedRows } = await trx
    .deleteFrom("upstream_key")
    .where("channel_id", "=", id)
    .where("id", "=", keyId)
    .executeTakeFirst();
  return numDeletedRows === 1n ? undefined : "not_found";
}

async function setKeyEnabled(trx: Trx, id: string, keyId: string, enabled: boolean): Promise<StoreRefusal | undefined> {
  if (!(await touch(trx, id))) return "not_found";
  const { numUpdatedRows } = await trx
    .updateTable("upstream_key")
    .set({ enabled })
    .where("channel_id", "=", id)
    .where("id", "=", keyId)
    .executeTakeFirst();
  return numUpdatedRows === 1n ? undefined : "not_found";
}

/** A change of a key is a change of its channel. False: there is no such channel. */
async function touch(trx: Trx, id: string): Promise<boolean> {
  const { numUpdatedRows } = await trx
    .updateTable("upstream_channel")
    .set({ version: sql`version + 1`, updated_at: sql`now()` })
    .where("id", "=", id)
    .executeTakeFirst();
  return numUpdatedRows === 1n;
}

/** Why an update by id and condition met no row. */
async function missing(trx: Trx, id: string): Promise<StoreRefusal> {
  return (await nameOf(trx, id)) === null ? "not_found" : "conflict";
}

async function rewrapAll(
  trx: Trx,
  changeKey: Parameters<ChannelStore["rewrap"]>[0],
  act: Act,
): Promise<{ readonly rewrapped: number; readonly set: ChannelSet }> {
  await grow(trx);
  let rewrapped = 0;
  const { channels } = await readAll(trx);
  for (const { channelId, keys } of channels) {
    for (const key of keys) {
      const changed = changeKey(channelId, key);
      if (!changed) continue;
      rewrapped += 1;
      const { sealedSecret, wrappedKey, keyVersion } = changed;
      await trx
        .updateTable("upstream_key")
        .set({ sealed_secret: sealedSecret, wrapped_key: wrappedKey, key_version: keyVersion })
        .where("id", "=", idToUuid(key.keyId))
        .execute();
    }
  }
  await insertAct(trx, { ...act, change: { ...act.change, rewrapped } }, null, null);
  return { rewrapped, set: await readAll(trx) };
}

async function readAll(trx: Trx): Promise<ChannelSet> {
  const { version } = await trx.selectFrom("channel_version").select("version").executeTakeFirstOrThrow();
  const rows = await trx.selectFrom("upstream_channel").selectAll().orderBy("name").limit(channelsMax).execute();
  const keys = await trx
    .selectFrom("upstream_key")
    .selectAll()
    .orderBy("created_at")
    .orderBy("id")
    .limit(channelsMax * keysMax)
    .execute();
  const ofChannel = Map.groupBy(keys, (key) => key.channel_id);
  return {
    version: Number(version),
    channels: rows.map((row) => fromDbChannel(row, (ofChannel.get(row.id) ?? []).map(fromDbKey))),
  };
}
