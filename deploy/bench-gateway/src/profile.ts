import { setTimeout as delay } from "node:timers/promises";
import { z } from "zod";

/** Takes a CPU profile of a running Node process through its inspector, which SIGUSR1 opens; no flag at its start is needed. */

const listUrl = "http://127.0.0.1:9229/json/list";
const openMsMax = 5_000;
const answerMsMax = 30_000;
const samplingMicros = 200;

const profileForm = z.object({
  nodes: z.array(
    z.object({
      id: z.number(),
      callFrame: z.object({ functionName: z.string(), url: z.string() }),
      children: z.array(z.number()).optional(),
    }),
  ),
  samples: z.array(z.number()),
  timeDeltas: z.array(z.number()),
});

/** One call stack that was met, its innermost frame first, and for how long. */
export interface SampledStack {
  readonly micros: number;
  readonly frames: readonly { readonly name: string; readonly url: string }[];
}

export interface Profiler {
  /** Ends it; every stack that was met. */
  stop(): Promise<readonly SampledStack[]>;
}

/** Throws when the inspector's usual port is somebody else's, or the process does not open it. */
export async function startProfiler(pid: number): Promise<Profiler> {
  process.kill(pid, "SIGUSR1");
  const session = await Session.open();
  await session.call("Profiler.enable");
  await session.call("Profiler.setSamplingInterval", { interval: samplingMicros });
  await session.call("Profiler.start");
  return {
    stop: async () => {
      const { profile } = z.object({ profile: profileForm }).parse(await session.call("Profiler.stop"));
      session.close();
      return stacksOf(profile);
    },
  };
}

class Session {
  private readonly socket: WebSocket;
  private readonly waiting = new Map<number, (result: unknown) => void>();
  private last = 0;

  private constructor(socket: WebSocket) {
    this.socket = socket;
    socket.addEventListener("message", ({ data }) => {
      const { id, result } = z
        .object({ id: z.number().optional(), result: z.unknown() })
        .parse(JSON.parse(String(data)));
      if (id === undefined) return;
      this.waiting.get(id)?.(result);
      this.waiting.delete(id);
    });
  }

  static async open(): Promise<Session> {
    const socket = new WebSocket(await inspectorUrl());
    await new Promise<void>((resolve, reject) => {
      socket.addEventListener("open", () => resolve());
      socket.addEventListener("error", () => reject(new Error("the inspector refused the connection")));
    });
    return new Session(socket);
  }

  call(method: string, params: Readonly<Record<string, unknown>> = {}): Promise<unknown> {
    const id = (this.last += 1);
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => reject(new Error(`the inspector does not answer ${method}`)), answerMsMax);
      this.waiting.set(id, (result) => {
        clearTimeout(timer);
        resolve(result);
      });
      this.socket.send(JSON.stringify({ id, method, params }));
    });
  }

  close(): void {
    this.socket.close();
  }
}

async function inspectorUrl(): Promise<string> {
  const until = performance.now() + openMsMax;
  for (;;) {
    try {
      const answer = await fetch(listUrl, { signal: AbortSignal.timeout(1_000) });
      const [first] = z.array(z.object({ webSocketDebuggerUrl: z.string() })).parse(await answer.json());
      if (first) return first.webSocketDebuggerUrl;
    } catch (error) {
      if (performance.now() > until) throw new Error("the inspector did not open", { cause: error });
    }
    await delay(100);
  }
}

function stacksOf({ nodes, samples, timeDeltas }: z.output<typeof profileForm>): readonly SampledStack[] {
  const byId = new Map(nodes.map((node) => [node.id, node]));
  const parents = new Map(nodes.flatMap(({ id, children = [] }) => children.map((child) => [child, id] as const)));
  const micros = new Map<number, number>();
  for (const [index, id] of samples.entries()) micros.set(id, (micros.get(id) ?? 0) + (timeDeltas[index] ?? 0));
  return [...micros].map(([leaf, time]) => {
    const frames: { name: string; url: string }[] = [];
    for (let id: number | undefined = leaf; id !== undefined; id = parents.get(id)) {
      const frame = byId.get(id)?.callFrame;
      if (frame) frames.push({ name: frame.functionName, url: frame.url });
    }
    return { micros: time, frames };
  });
}
