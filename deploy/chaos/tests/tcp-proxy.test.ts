import { eventually, leakCheck } from "@codex/testkit";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "@jest/globals";
import { once } from "node:events";
import net from "node:net";
import { BatchWatch } from "../src/batch-watch.ts";
import { Link } from "../src/tcp-proxy.ts";

// Real sockets on both ends of the cable; the far end sends back what it gets.

const leaks = leakCheck();
let server: net.Server;
let link: Link;
const open = new Set<net.Socket>();

beforeAll(async () => {
  server = net.createServer((socket) => {
    open.add(socket);
    socket.on("error", () => undefined);
    socket.pipe(socket);
  });
  server.listen({ port: 0, host: "127.0.0.1" });
  await once(server, "listening");
});

beforeEach(async () => {
  link = await Link.open("test", (server.address() as net.AddressInfo).port);
});

afterEach(async () => {
  for (const socket of open) socket.destroy();
  await link.close();
});

afterAll(async () => {
  server.close();
  await leaks.assertClean();
});

interface Caller {
  readonly socket: net.Socket;
  heard(): string;
  readonly ended: () => "open" | "reset" | "closed";
}

async function call(): Promise<Caller> {
  const socket = net.connect({ port: link.port, host: "127.0.0.1" });
  open.add(socket);
  let text = "";
  let state: "open" | "reset" | "closed" = "open";
  socket.on("data", (piece: Buffer) => (text += piece.toString("latin1")));
  socket.on("error", () => (state = "reset"));
  socket.on("close", () => (state = state === "reset" ? "reset" : "closed"));
  await once(socket, "connect");
  return { socket, heard: () => text, ended: () => state };
}

describe("a cable", () => {
  test("passes a megabyte both ways, whole and in order, and its orderly end", async () => {
    const caller = await call();
    const sent = Array.from({ length: 100_000 }, (_, index) => String(index).padStart(10, "0")).join("");
    caller.socket.end(sent);
    await eventually(() => caller.ended() === "closed", { what: "the end" });
    expect(caller.heard()).toBe(sent);
  });

  test("cut: connections are reset, new ones too; passing again, new ones work", async () => {
    const before = await call();
    link.set({ kind: "cut" });
    await eventually(() => before.ended() === "reset", { what: "the reset" });
    const meanwhile = net.connect({ port: link.port, host: "127.0.0.1" });
    meanwhile.on("error", () => undefined);
    await eventually(() => meanwhile.closed, { what: "the refusal" });
    link.set({ kind: "pass" });
    const after = await call();
    after.socket.write("hello");
    await eventually(() => after.heard() === "hello", { what: "the echo" });
  });

  test("black-hole: nothing passes and nobody is told, and afterwards it passes", async () => {
    const caller = await call();
    caller.socket.write("one");
    await eventually(() => caller.heard() === "one", { what: "the echo" });
    link.set({ kind: "black-hole" });
    caller.socket.write("two");
    // Another cable to the same end shows that time enough has passed.
    const other = await Link.open("other", link.target);
    try {
      const witness = net.connect({ port: other.port, host: "127.0.0.1" });
      open.add(witness);
      witness.on("error", () => undefined);
      witness.write("x");
      await once(witness, "data");
    } finally {
      await other.close();
    }
    expect(caller.heard()).toBe("one");
    expect(caller.ended()).toBe("open");
    link.set({ kind: "pass" });
    await eventually(() => caller.heard() === "onetwo", { what: "what was sent into the hole" });
  });

  test("latency: later by at least as much on each way, and in order", async () => {
    const caller = await call();
    link.set({ kind: "latency", ms: 40 });
    const startedMs = performance.now();
    for (const word of ["a", "b", "c"]) caller.socket.write(word);
    await eventually(() => caller.heard() === "abc", { everyMs: 1, what: "the echo" });
    expect(performance.now() - startedMs).toBeGreaterThanOrEqual(79);
  });

  test("truncate: after so many bytes everything is reset, with half a piece gone out, and then it passes", async () => {
    const caller = await call();
    link.set({ kind: "truncate", bytes: 1_000 });
    caller.socket.write("x".repeat(4_000));
    await eventually(() => caller.ended() === "reset", { what: "the reset" });
    expect(caller.heard().length).toBeLessThan(4_000);
    expect(link.mode).toEqual({ kind: "pass" });
  });
});

describe("the watch on the cable to Postgres", () => {
  const batch = `Q....select apply_batch(${"x".repeat(2_000)})`;
  const ready = Buffer.from([0x5a, 0, 0, 0, 5, 0x49]).toString("latin1");

  test("springs once when a batch goes out, and not for anything else", async () => {
    const watch = new BatchWatch(link);
    let sprung = 0;
    watch.arm({ moment: "sent", swallow: false, act: () => (sprung += 1) });
    const caller = await call();
    caller.socket.write(`Q....select pg_try_advisory_lock(1) ${"y".repeat(2_000)}`);
    await eventually(() => caller.heard().includes("yyy"), { what: "the other statement" });
    expect(sprung).toBe(0);
    caller.socket.write(batch);
    await eventually(() => sprung === 1, { what: "the trap" });
    caller.socket.write(batch);
    await eventually(() => watch.seen === 2, { what: "the second batch" });
    expect(sprung).toBe(1);
  });

  test("committed and swallowed: the caller never hears of it and is reset", async () => {
    const watch = new BatchWatch(link);
    let sprung = 0;
    watch.arm({ moment: "committed", swallow: true, act: () => (sprung += 1) });
    const caller = await call();
    // The far end echoes, so the batch itself ends as a server's answer would.
    caller.socket.write(Buffer.from(`${batch}${ready}`, "latin1"));
    await eventually(() => caller.ended() === "reset", { what: "the reset" });
    expect(sprung).toBe(1);
    expect(caller.heard()).not.toContain(ready);
  });

  test("a trap that is taken back says whether it had sprung", () => {
    const watch = new BatchWatch(link);
    const takeBack = watch.arm({ moment: "sent", swallow: false, act: () => undefined });
    expect(takeBack()).toBe(false);
  });
});
