/** Seeded random numbers (mulberry32): the same seed gives the same sequence on every machine. Not for secrets. */
export class Random {
  private state: number;

  constructor(seed: number) {
    this.state = seed >>> 0;
  }

  /** In [0, 1). */
  next(): number {
    this.state = (this.state + 0x6d2b79f5) >>> 0;
    let mixed = this.state;
    mixed = Math.imul(mixed ^ (mixed >>> 15), mixed | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  }

  /** A whole number from min to max, both included. */
  integer(min: number, max: number): number {
    return min + Math.floor(this.next() * (max - min + 1));
  }

  chance(probability: number): boolean {
    return this.next() < probability;
  }

  /** Throws RangeError for an empty list. */
  pick<T>(list: readonly T[]): T {
    const found = list[Math.floor(this.next() * list.length)];
    if (found === undefined) throw new RangeError("nothing to pick from");
    return found;
  }

  /** One of the names, each as often as its weight says. Throws RangeError when there is none. */
  weighted<T>(choices: readonly (readonly [T, number])[]): T {
    let point = this.next() * choices.reduce((sum, [, weight]) => sum + weight, 0);
    for (const [choice, weight] of choices) {
      point -= weight;
      if (point < 0) return choice;
    }
    const last = choices.at(-1);
    if (last === undefined) throw new RangeError("nothing to choose from");
    return last[0];
  }

  /** A new list in another order. */
  shuffled<T>(list: readonly T[]): T[] {
    const result = [...list];
    for (let index = result.length - 1; index > 0; index -= 1) {
      const other = this.integer(0, index);
      const kept = result[index] as T;
      result[index] = result[other] as T;
      result[other] = kept;
    }
    return result;
  }

  /** Another sequence that depends only on this one's present state and the label, so that users do not disturb each other. */
  fork(label: string): Random {
    let hash = 2_166_136_261;
    for (const character of label) hash = Math.imul(hash ^ (character.codePointAt(0) ?? 0), 16_777_619);
    return new Random((this.state ^ hash) >>> 0);
  }
}
