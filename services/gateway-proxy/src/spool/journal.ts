import { AppError } from "@codex/kernel";
import { unlinkSync } from "node:fs";
import { encodeRecord, type SpoolEntry } from "./record-codec.ts";
import { Reserve } from "./reserve.ts";
import { realDisk, SpoolFile, type Disk } from "./spool-file.ts";

/**
 * The files of one epoch below the spool: segments, their rotation, and what happens when the disk says no.
 *
 * Glossary
 *   fault   the disk refused a write or a sync; nothing new may be admitted until it is healed
 *   owed    records that must not be lost and are not written yet, in their order; they wait in memory
 *   reserve space that is given up at the first fault, so that what runs can still write its end
 */

export interface Numbered {
  readonly partition: number;
  readonly seq: number;
}

interface Owed {
  readonly record: Buffer;
  readonly numbered: Numbered | undefined;
}

export interface Segment {
  readonly file: SpoolFile;
  /** Highest seq written here, by partition. */
  readonly lastSeqs: Map<number, number>;
}

export interface JournalOptions {
  readonly directory: string;
  readonly segmentBytes: number;
  readonly reserveBytes: number;
  /** Name of a segment's file, by its number from 0. */
  readonly nameOf: (segment: number) => string;
  /** What a new segment begins with: everything that is alive, so that older ones are never needed again. */
  readonly head: (segment: number) => readonly SpoolEntry[];
  readonly onFault: (error: unknown) => void;
  /** In place of the real one, in tests. */
  readonly disk?: Disk | undefined;
}

export class Journal {
  readonly segments: Segment[] = [];
  private readonly options: JournalOptions;
  private readonly reserve: Reserve;
  private readonly owed: Owed[] = [];
  private segmentNumber = 0;
  /** Of the latest record; after a rotation not the newest file. */
  private latest: SpoolFile | undefined;
  private fault: Error | undefined;
  /** The newest segment's disk state is unknown: nothing more goes into it. */
  private distrusted = false;
  /** Numbers of records that the next segment will hold once more. */
  private readonly inherited = new Map<number, number>();

  /** Throws the file system's error when not even the first segment can be made. */
  constructor(options: JournalOptions) {
    this.options = options;
    this.reserve = new Reserve(options.directory, options.reserveBytes, options.disk ?? realDisk);
    this.rotate();
    try {
      this.reserve.take();
    } catch (error) {
      this.failed(error);
    }
  }

  get faulty(): boolean {
    return this.fault !== undefined;
  }

  get bytes(): number {
    return this.segments.reduce((sum, segment) => sum + segment.file.bytes, 0);
  }

  /** Of something new. Throws AppError `overloaded`, with the file system's error as its cause; at once while there is a fault. */
  append(entry: SpoolEntry): void {
    if (this.fault) throw this.fault;
    try {
      this.write(encodeRecord(entry), undefined);
    } catch (error) {
      throw this.failed(error);
    }
    this.rotateIfFull();
  }

  /** Of what ends something, or is only a help (`numbered` undefined, dropped while there is a fault). Never throws. */
  appendAnyway(entry: SpoolEntry, numbered: Numbered | undefined): void {
    if (this.fault && !numbered) return;
    this.owed.push({ record: encodeRecord(entry), numbered });
    if (this.payOwed()) {
      this.rotateIfFull();
      return;
    }
    this.reserve.release();
    this.payOwed();
  }

  /**
   * Calls back once what was appended so far is on the disk; at once where the disk refuses, for then it is owed to it and
   * nothing is gained by waiting. In the order of the calls, but for a change between the two.
   */
  afterSync(done: () => void): void {
    if (this.fault || !this.latest) done();
    else this.latest.afterSync(done);
  }

  /** Resolves when everything appended so far is on the disk, or its failure was reported. */
  async sync(): Promise<void> {
    await Promise.all(this.segments.map(({ file }) => file.sync()));
  }

  /** Tries to get out of a fault: a trusted segment, every owed record, and the reserve again. Never throws. */
  heal(): void {
    if (!this.fault) return;
    try {
      if (this.distrusted) this.rotate();
      if (!this.payOwed()) return;
      this.reserve.take();
      this.fault = undefined;
      this.rotateIfFull();
    } catch (error) {
      this.failed(error);
    }
  }

  private write(record: Buffer, numbered: Numbered | undefined): void {
    const current = this.segments.at(-1);
    if (!current) throw new Error("spool is closed");
    current.file.write(record);
    this.latest = current.file;
    if (numbered) current.lastSeqs.set(numbered.partition, numbered.seq);
  }

  /** True when nothing is owed any more. */
  private payOwed(): boolean {
    if (this.distrusted) return false;
    try {
      for (let [first] = this.owed; first; [first] = this.owed) {
        this.write(first.record, first.numbered);
        this.owed.shift();
      }
      return true;
    } catch (error) {
      this.failed(error);
      return false;
    }
  }

  private failed(error: unknown): Error {
    // Told once a fault: the attempts to heal it fail in the same way until they do not.
    if (!this.fault) this.options.onFault(error);
    this.fault = new AppError({
      kind: "unavailable",
      code: "overloaded",
      publicMessage: "The gateway cannot take new requests at the moment. Please try again shortly.",
      retryAfterSeconds: 2,
      detail: { reason: "the spool's disk refused" },
      cause: error,
    });
    return this.fault;
  }

  private rotateIfFull(): void {
    if ((this.segments.at(-1)?.file.bytes ?? 0) < this.options.segmentBytes || this.fault) return;
    try {
      this.rotate();
    } catch (error) {
      // The record that filled the segment is written; only the next segment is missing.
      this.failed(error);
    }
  }

  private rotate(): void {
    const { directory, nameOf, head, disk } = this.options;
    const number = this.segmentNumber;
    this.segmentNumber += 1;
    const file = new SpoolFile(
      `${directory}/${nameOf(number)}`,
      (error, unsynced) => this.syncFailed(file, error, unsynced),
      disk,
    );
    try {
      for (const entry of head(number)) file.append(entry);
    } catch (error) {
      file.discard();
      throw error;
    }
    this.segments.push({ file, lastSeqs: new Map(this.inherited) });
    this.inherited.clear();
    this.distrusted = false;
  }

  /**
   * The kernel may have dropped the pages and will not say so again (fsync(2), "fsyncgate" of 2018): what was not synced is
   * owed again, to a new segment. A reader drops what it then finds twice.
   */
  private syncFailed(file: SpoolFile, error: Error, unsynced: readonly Buffer[]): void {
    const segment = this.segments.find((candidate) => candidate.file === file);
    this.failed(error);
    if (!segment) return;
    this.owed.unshift(...unsynced.map((record) => ({ record, numbered: undefined })));
    for (const [partition, seq] of segment.lastSeqs) this.inherited.set(partition, seq);
    if (segment === this.segments.at(-1)) this.distrusted = true;
  }

  /** Closes the files and gives the reserve up; deletes the files when nothing in them is needed any more. */
  async close(needless: boolean): Promise<void> {
    this.heal();
    for (const segment of this.segments.splice(0)) {
      await segment.file.close();
      if (needless) unlinkSync(segment.file.path);
    }
    this.reserve.release();
  }
}
