import type { Child } from "./child.ts";

/** Something that a client can be pointed at: the upstream itself, or a hop in front of it. */
export interface Target {
  readonly name: TargetName;
  /** One for each worker. */
  readonly urls: readonly string[];
  /** Of every process whose CPU and memory are the hop's; none for the upstream itself. */
  readonly pids: () => readonly number[];
  readonly keys: readonly string[];
  readonly headers: readonly string[];
  stop(): Promise<unknown>;
}

export type TargetName = "direct" | "nginx" | "floor" | "portkey" | "ours" | "ours, traced";

/** A hop of so many processes without a master. */
export function targetOf(
  name: TargetName,
  children: readonly { readonly child: Child; readonly url: string }[],
  more: Partial<Pick<Target, "keys" | "headers">> = {},
): Target {
  return {
    name,
    urls: children.map(({ url }) => url),
    pids: () => children.map(({ child }) => child.pid),
    keys: more.keys ?? ["sk-bench-0123456789abcdef"],
    headers: more.headers ?? [],
    stop: () => Promise.all(children.map(({ child }) => child.stop())),
  };
}
