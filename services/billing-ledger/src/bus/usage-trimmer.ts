import type { Bus } from "@codex/bus";
import { subjectOf, usageEnvelope, usagePartitions } from "@codex/contracts";
import type { LeaseStore } from "../app/lease-ports.ts";

/** Messages that stay behind the floor, for a replay by hand: a few minutes at full load. */
export const replayMargin = 20_000;

export interface TrimDeps {
  readonly bus: Pick<Bus, "streamEnds" | "purgeStream">;
  readonly floors: LeaseStore["positions"];
  /** Messages kept; {@link replayMargin} but for tests. */
  readonly margin: number;
}

/**
 * Removes from the usage stream what Postgres has committed, but for a margin, so that the stream is bounded by what is not
 * booked and never by age or acknowledgements. A partition whose newest message is booked counts as booked to the end. Safe
 * among replicas: nothing above the lowest floor is touched. Answers how many messages were removed.
 */
export async function trimUsageStream({ bus, floors, margin }: TrimDeps): Promise<number> {
  const subjects = Array.from({ length: usagePartitions }, (_, partition) =>
    subjectOf(usageEnvelope.pattern, { partition: String(partition) }),
  );
  const ends = await bus.streamEnds(usageEnvelope.stream, subjects);
  const known = await floors();
  const created = new Date(ends.created).getTime();
  const bookedTo = ends.subjectLastSeqs.map((lastSeq, partition) => {
    const floor =
      known.find((one) => one.partition === partition && one.streamCreated.getTime() === created)?.floor ?? 0;
    return floor >= lastSeq ? ends.lastSeq : floor;
  });
  const keepFrom = Math.min(...bookedTo) - margin + 1;
  return keepFrom > ends.firstSeq ? bus.purgeStream(usageEnvelope.stream, keepFrom) : 0;
}
