import net from "node:net";

/** Recently given out by this process, so that two callers in a row cannot get the same number before they bind it. */
const recent = new Set<number>();
const recentMax = 512;

/** Free TCP port on 127.0.0.1, from the system's ephemeral range, so never a default port of Postgres, NATS or Redis. */
export async function freePort(): Promise<number> {
  for (;;) {
    const port = await bindOnce(0);
    if (recent.has(port)) continue;
    recent.add(port);
    const oldest = recent.values().next();
    if (recent.size > recentMax && !oldest.done) recent.delete(oldest.value);
    return port;
  }
}

/** Whether nothing listens on 127.0.0.1:port. A port that we may not bind (below 1024) counts as taken. */
export async function isPortFree(port: number): Promise<boolean> {
  try {
    await bindOnce(port);
    return true;
  } catch {
    return false;
  }
}

function bindOnce(port: number): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = net.createServer();
    server.once("error", reject);
    server.listen({ port, host: "127.0.0.1", exclusive: true }, () => {
      const address = server.address();
      server.close(() => {
        if (address !== null && typeof address === "object") resolve(address.port);
        else reject(new Error("the system gave no port"));
      });
    });
  });
}
