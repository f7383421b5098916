import { eventually, startRedisCluster } from "@codex/testkit";
import { expect, test } from "@jest/globals";
import { Cluster } from "ioredis";
import { serverUsers } from "../src/boundary.ts";

test("given a Redis Cluster with our users, then the gateway's finds its keys' nodes, and may touch no others and not the cluster", async () => {
  const password = "of-the-gateway";
  const servers = await startRedisCluster(serverUsers(() => password).redis);
  const cluster = new Cluster(
    servers.ports.map((port) => ({ host: "127.0.0.1", port })),
    { redisOptions: { username: "gateway", password } },
  );
  try {
    await eventually(() => cluster.status === "ready", { what: "the client to know the cluster" });
    const keys = ["gw:a", "gw:b", "gw:c", "gw:d", "gw:e", "gw:f"];
    for (const key of keys) await cluster.set(key, key);
    expect(await Promise.all(keys.map((key) => cluster.get(key)))).toEqual(keys);
    await expect(cluster.get("auth:a")).rejects.toThrow("NOPERM");
    await expect(cluster.cluster("RESET")).rejects.toThrow("NOPERM");
  } finally {
    cluster.disconnect();
    await servers.stop();
  }
}, 60_000);
