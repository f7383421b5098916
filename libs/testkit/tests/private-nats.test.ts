import { describe, expect, test } from "@jest/globals";
import { existsSync } from "node:fs";
import net from "node:net";
import { isPortFree, startNats, testInfra } from "@codex/testkit";

describe("startNats", () => {
  test("given a private server, when killed, restarted and stopped, then it is down, up on the same port, and down", async () => {
    const nats = await startNats();
    expect(nats.url).not.toBe(testInfra().natsUrl);
    expect(await greeting(nats.port)).toMatch(/^INFO .*"jetstream":\s?true/);
    await nats.kill();
    expect(await isPortFree(nats.port)).toBe(true);
    await nats.restart();
    expect(await greeting(nats.port)).toMatch(/^INFO /);
    await nats.restart();
    expect(await greeting(nats.port)).toMatch(/^INFO /);
    await nats.stop();
    await nats.stop();
    expect(await isPortFree(nats.port)).toBe(true);
    expect(existsSync(nats.dataDir)).toBe(false);
  });
});

function greeting(port: number): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = net.connect(port, "127.0.0.1");
    socket.once("error", reject);
    socket.once("data", (chunk) => {
      resolve(chunk.toString());
      socket.destroy();
    });
  });
}
