import { subjectOf, wildcardOf, type SignalDef, type SubjectParams } from "@codex/contracts";
import type { NatsConnection } from "@nats-io/nats-core";
import { z } from "zod";
import { parseData, parseJson } from "./envelope.ts";
import type { BusLogger } from "./logger.ts";

/** Hints over core NATS: no stream, no acknowledgement, no repeat. Plain JSON of the contract's data. */

/** Must not throw; runs for each signal in the order of arrival. */
export type SignalListener<Data> = (data: Data) => void;

export function sendSignal<P extends string, S extends z.ZodType>(
  nc: NatsConnection,
  signal: SignalDef<P, S>,
  message: { readonly params: SubjectParams<P>; readonly data: z.output<S> },
): void {
  const payload = JSON.stringify(z.encode(signal.data, message.data));
  const subject = subjectOf(signal.pattern, message.params);
  // A connection that is gone for good: there is nobody to tell.
  if (!nc.isClosed()) nc.publish(subject, payload);
}

/** Resolves when the server knows the subscription, so that a signal sent after it is heard. Survives reconnects. */
export async function listenTo<P extends string, S extends z.ZodType>(
  nc: NatsConnection,
  logger: BusLogger,
  signal: SignalDef<P, S>,
  listener: SignalListener<z.output<S>>,
): Promise<{ stop(): void }> {
  const subject = wildcardOf(signal.pattern);
  const subscription = nc.subscribe(subject, {
    callback: (error, message) => {
      if (error) {
        logger.warn("bus.signal_failed", { subject, error });
        return;
      }
      const json = parseJson(message.data);
      const data = json.ok ? parseData(signal.data, json.value) : json;
      if (data.ok) listener(data.value);
      else logger.warn("bus.signal_unreadable", { subject, error: data.problem });
    },
  });
  await nc.flush();
  return { stop: () => subscription.unsubscribe() };
}
