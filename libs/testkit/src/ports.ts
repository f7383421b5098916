import net from "node:net";

/**
 * Below the range from which Linux, macOS and Windows number what asks for any port: a program that has been told its port,
 * and binds it a second later or again after a restart, must not find it taken by somebody's proxy or outgoing connection.
 */
const first = 10_240;
const last = 32_767;
/** Processes that run beside each other begin far apart. */
const stride = 97;
let next = (process.pid * stride) % (last - first + 1);

/**
 * Free TCP port on 127.0.0.1, never a default port of Postgres, NATS or Redis. Not the same again in this process before all
 * others have been given out. Throws when none is free.
 */
export async function freePort(): Promise<number> {
  for (let tries = first; tries <= last; tries += 1) {
    const port = first + next;
    next = (next + 1) % (last - first + 1);
    if (await isPortFree(port)) return port;
  }
  throw new Error(`no TCP port from ${String(first)} to ${String(last)} is free`);
}

/** Whether nothing listens on 127.0.0.1:port. A port that we may not bind (below 1024) counts as taken. */
export function isPortFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = net.createServer();
    server.once("error", () => resolve(false));
    server.listen({ port, host: "127.0.0.1", exclusive: true }, () => server.close(() => resolve(true)));
  });
}
