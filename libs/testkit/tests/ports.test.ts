import { freePort } from "@codex/testkit";
import { expect, test } from "@jest/globals";
import { once } from "node:events";
import net from "node:net";

test("ports are below those that the system numbers by itself, never the same twice, and never one that is in use", async () => {
  const port = await freePort();
  expect(port).toBeLessThan(32_768);
  const holder = net.createServer().listen(port + 1, "127.0.0.1");
  await once(holder, "listening");
  try {
    const later = [await freePort(), await freePort()];
    expect(later).not.toContain(port);
    expect(later).not.toContain(port + 1);
    expect(new Set(later).size).toBe(2);
  } finally {
    await new Promise((resolve) => holder.close(resolve));
  }
});
