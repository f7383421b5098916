/** Who wants to hear that a key was revoked: the requests that run with it (SEC-37). By the key's hash. */
export class RunningKeys {
  private readonly listeners = new Map<string, Set<() => void>>();

  /** Answers how to stop listening. Each registration counts for itself. */
  add(hash: string, listener: () => void): () => void {
    const own = (): void => listener();
    const present = this.listeners.get(hash);
    if (present) present.add(own);
    else this.listeners.set(hash, new Set([own]));
    return () => {
      const set = this.listeners.get(hash);
      if (set?.delete(own) === true && set.size === 0) this.listeners.delete(hash);
    };
  }

  /** Whoever runs with the key hears it, once. */
  revoked(hash: string): void {
    const set = this.listeners.get(hash);
    this.listeners.delete(hash);
    for (const listener of set ?? []) listener();
  }

  hashes(): Iterable<string> {
    return this.listeners.keys();
  }
}
