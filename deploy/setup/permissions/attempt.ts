/** Something forbidden that is tried with a service's own credentials. */
export interface Attempt {
  readonly server: "postgres" | "nats" | "redis";
  /** The user or role that tries. */
  readonly as: string;
  /** In words of the server: a statement, a subject, a command. */
  readonly what: string;
  /** What must not happen. */
  readonly outcome: "denied" | "ALLOWED";
  /** The server's words, when it did not simply refuse. */
  readonly detail?: string;
}

/** Something that a service has to be able to do: it shows that the refusals are none of a wrong password. */
export interface Control {
  readonly server: Attempt["server"];
  readonly as: string;
  readonly what: string;
  readonly works: boolean;
}

export interface Tried {
  readonly attempts: readonly Attempt[];
  readonly controls: readonly Control[];
}

export function joined(all: readonly Tried[]): Tried {
  return {
    attempts: all.flatMap(({ attempts }) => attempts),
    controls: all.flatMap(({ controls }) => controls),
  };
}
