import { jetstreamManager } from "@nats-io/jetstream";
import type { Bus } from "@codex/bus";
import { streams, usageEnvelope } from "@codex/contracts";
import { randomUUID } from "node:crypto";
import { z } from "zod";
import type { Random } from "./random.ts";

const msgIdHeader = "Nats-Msg-Id";

export interface SentAgain {
  readonly envelopes: number;
  readonly records: number;
}

const envelope = z.object({ data: usageEnvelope.data.pick({ first: true, last: true }).loose() });

/**
 * Sends old envelopes of the usage stream again, in another order and under ids that the server has never seen, so that its
 * own dedupe does not help. Throws when NATS does not answer.
 */
export async function redeliver(bus: Bus, random: Random, count: number): Promise<SentAgain> {
  const manager = await jetstreamManager(bus.connection, { timeout: 2_000 });
  const { state } = await manager.streams.info(streams.USAGE.name);
  const span = state.last_seq - state.first_seq + 1;
  if (state.messages === 0 || span < 1) return { envelopes: 0, records: 0 };
  const seqs = Array.from({ length: count }, () => state.first_seq + random.integer(0, span - 1));
  let [envelopes, records] = [0, 0];
  for (const seq of random.shuffled([...new Set(seqs)])) {
    const message = await manager.streams.getMessage(streams.USAGE.name, { seq }).catch(() => null);
    if (message === null) continue;
    const headers = message.header;
    headers.set(msgIdHeader, `again-${randomUUID()}`);
    bus.connection.publish(message.subject, message.data, { headers });
    envelopes += 1;
    const { first, last } = envelope.parse(message.json()).data;
    records += last - first + 1;
  }
  await bus.connection.flush();
  return { envelopes, records };
}
