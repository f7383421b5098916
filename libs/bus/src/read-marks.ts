/**
 * What a reader remembers of what it has handled, to find out how much of it a stream still holds after it lost its end.
 *
 * A number alone proves nothing: a server that lost its end gives the same numbers to new messages. The time at which the
 * stream took the message, at its number, does: while that one stands, everything before it is as it was, for a stream only
 * ever loses an end and goes on from there.
 */

/** The last message of a batch that was handled. */
export interface ReadMark {
  readonly seq: number;
  /** When the stream took it, milliseconds since 1970. */
  readonly storedAtMs: number;
}

/** Marks kept: the newest half one a batch, older ones ever further apart. */
const marksMax = 1_024;

export class ReadMarks {
  private marks: ReadMark[] = [];

  get newest(): ReadMark | undefined {
    return this.marks.at(-1);
  }

  get size(): number {
    return this.marks.length;
  }

  /** Marks come in the order of the stream. */
  add(mark: ReadMark): void {
    this.marks.push(mark);
    if (this.marks.length <= marksMax) return;
    const half = marksMax / 2;
    this.marks = this.marks.filter((_mark, index) => index >= half || index % 2 === 0);
  }

  /** The caller's position is what counts: what it has not kept was not handled. */
  forgetAfter(position: number): void {
    this.marks = this.marks.filter(({ seq }) => seq <= position);
  }

  /**
   * The newest mark that `stands` confirms, undefined when there is none; what is after it is forgotten. Asks about as often
   * as the number of marks has bits. Rejects with what `stands` rejects with; nothing is forgotten then.
   */
  async rewind(stands: (mark: ReadMark) => Promise<boolean>): Promise<ReadMark | undefined> {
    let known = 0;
    let open = this.marks.length;
    while (known < open) {
      const middle = Math.floor((known + open) / 2);
      const mark = this.marks[middle];
      if (mark && (await stands(mark))) known = middle + 1;
      else open = middle;
    }
    this.marks = this.marks.slice(0, known);
    return this.newest;
  }
}
