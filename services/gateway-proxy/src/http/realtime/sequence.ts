/**
 * Work on one side of a session, in the order of its messages. Most of it is done at once; while something waits (for money), what
 * comes after it waits too, and the side is not read.
 */
export class Sequence {
  private readonly waiting: (() => void | Promise<void>)[] = [];
  private readonly onBusy: (busy: boolean) => void;
  private readonly onError: (error: unknown) => void;
  private busy = false;

  constructor(onBusy: (busy: boolean) => void, onError: (error: unknown) => void) {
    this.onBusy = onBusy;
    this.onError = onError;
  }

  push(work: () => void | Promise<void>): void {
    if (this.busy) this.waiting.push(work);
    else this.run(work);
  }

  private run(work: () => void | Promise<void>): void {
    let result: void | Promise<void>;
    try {
      result = work();
    } catch (error) {
      this.onError(error);
      return;
    }
    if (!(result instanceof Promise)) return;
    this.busy = true;
    this.onBusy(true);
    void result.catch(this.onError).then(() => this.next());
  }

  private next(): void {
    this.busy = false;
    for (let work = this.waiting.shift(); work; work = this.waiting.shift()) {
      this.run(work);
      if (this.isBusy()) return;
    }
    this.onBusy(false);
  }

  /** A question and not the field: what runs in between changes it. */
  private isBusy(): boolean {
    return this.busy;
  }
}
