import { expect, test } from "@jest/globals";
import { once } from "node:events";
import net from "node:net";
import { freePort } from "@codex/testkit";
import { choosePorts, isPortFree, type PortDeps, type PortWish } from "../ports.ts";

const wishes: readonly PortWish[] = [
  { name: "dashboard.http", preferred: 8080, shown: "the dashboard" },
  { name: "auth.http", preferred: 8101 },
  { name: "demo.http", preferred: 8110, keep: true },
];

function world(...busy: number[]): PortDeps {
  return { isFree: async (port) => !busy.includes(port), holder: async () => "nginx (pid 42)" };
}

test("given free ports, then the preferred ones are taken and nothing is said", async () => {
  const ports = await choosePorts(wishes, {}, undefined, world());
  expect(wishes.map(({ name }) => ports.of(name))).toEqual([8080, 8101, 8110]);
  expect(ports.notes).toEqual([]);
});

test("given a busy port, then the next free one is taken; it is told only for a port that people type", async () => {
  const ports = await choosePorts(wishes, {}, undefined, world(8080, 8081, 8101));
  expect(wishes.map(({ name }) => ports.of(name))).toEqual([8082, 8102, 8110]);
  expect(ports.notes).toEqual(["the dashboard is on port 8082: 8080 is in use by nginx (pid 42)"]);
});

test("given remembered ports, then they are kept while free, though the preferred ones are free as well", async () => {
  const ports = await choosePorts(wishes, { "dashboard.http": 9000, "auth.http": 9001 }, undefined, world(9001));
  expect(wishes.map(({ name }) => ports.of(name))).toEqual([9000, 8101, 8110]);
});

test("given --port-base, then all ports move with it, and a busy one is an error that names it and its holder", async () => {
  const ports = await choosePorts(wishes, { "dashboard.http": 9000 }, 18_000, world());
  expect(wishes.map(({ name }) => ports.of(name))).toEqual([18_000, 18_021, 18_030]);
  await expect(choosePorts(wishes, {}, 18_000, world(18_021))).rejects.toThrow(
    "Port 18021, wanted for auth.http, is in use by nginx (pid 42).",
  );
});

test("given a port that the data names, then it stays also under --port-base, and a busy one is an error", async () => {
  const ports = await choosePorts(wishes, { "demo.http": 9500 }, 18_000, world());
  expect(ports.of("demo.http")).toBe(9500);
  await expect(choosePorts(wishes, { "demo.http": 9500 }, undefined, world(9500))).rejects.toThrow("Port 9500");
});

test("two wishes never get the same port", async () => {
  const ports = await choosePorts(wishes, { "dashboard.http": 8101 }, undefined, world());
  expect(new Set(wishes.map(({ name }) => ports.of(name))).size).toBe(3);
});

test("a port on which somebody listens is not free, on either loopback address", async () => {
  const port = await freePort();
  expect(await isPortFree(port)).toBe(true);
  for (const host of ["127.0.0.1", "0.0.0.0"]) {
    const server = net.createServer().listen(port, host);
    await once(server, "listening");
    expect(await isPortFree(port)).toBe(false);
    server.close();
    await once(server, "close");
  }
});
