import { jetstreamManager } from "@nats-io/jetstream";
import type { Bus } from "@codex/bus";
import { streams } from "@codex/contracts";
import { randomUUID } from "node:crypto";
import type { Random } from "./random.ts";

const msgIdHeader = "Nats-Msg-Id";

/**
 * Sends old envelopes of the usage stream again, in another order and under ids that the server has never seen, so that its
 * own dedupe does not help. Returns how many. Throws when NATS does not answer.
 */
export async function redeliver(bus: Bus, random: Random, count: number): Promise<number> {
  const manager = await jetstreamManager(bus.connection, { timeout: 2_000 });
  const { state } = await manager.streams.info(streams.USAGE.name);
  const span = state.last_seq - state.first_seq + 1;
  if (state.messages === 0 || span < 1) return 0;
  const seqs = Array.from({ length: count }, () => state.first_seq + random.integer(0, span - 1));
  let sent = 0;
  for (const seq of random.shuffled([...new Set(seqs)])) {
    const message = await manager.streams.getMessage(streams.USAGE.name, { seq }).catch(() => null);
    if (message === null) continue;
    const headers = message.header;
    headers.set(msgIdHeader, `again-${randomUUID()}`);
    bus.connection.publish(message.subject, message.data, { headers });
    sent += 1;
  }
  await bus.connection.flush();
  return sent;
}
