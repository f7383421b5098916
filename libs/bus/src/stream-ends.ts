import type { StreamName } from "@codex/contracts";
import type { JetStreamManager } from "@nats-io/jetstream";

export interface StreamEnds {
  /** RFC 3339. */
  readonly created: string;
  readonly firstSeq: number;
  readonly lastSeq: number;
  /** In the order of the subjects asked for. */
  readonly subjectLastSeqs: readonly number[];
}

/**
 * `lastSeq` is read first: a message of a subject up to it shows in that subject's last number, so a subject whose last number
 * is handled has nothing open up to `lastSeq`.
 */
export async function streamEnds(
  jsm: JetStreamManager,
  stream: StreamName,
  subjects: readonly string[],
): Promise<StreamEnds> {
  const info = await jsm.streams.info(stream);
  const subjectLastSeqs = await Promise.all(
    subjects.map(async (subject) => (await jsm.streams.getMessage(stream, { last_by_subj: subject }))?.seq ?? 0),
  );
  return { created: info.created, firstSeq: info.state.first_seq, lastSeq: info.state.last_seq, subjectLastSeqs };
}
