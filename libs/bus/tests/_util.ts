import { readdirSync, readFileSync } from "node:fs";
import net from "node:net";
import os from "node:os";
import path from "node:path";
import { defineEvent, defineKv, defineRpc } from "@codex/contracts";
import { startNats, type PrivateNats } from "@codex/testkit";
import { z } from "zod";
import { connectBus, type Bus, type BusLogFields, type BusLogger } from "../src/index.ts";

// Declarations of our own, on the real streams, so that these tests do not change with the product's contracts. `amount`
// is a codec like the money of the contracts: text on the wire, bigint in code.

const amount = z.codec(z.string().regex(/^\d{1,19}$/), z.bigint(), {
  decode: (text) => BigInt(text),
  encode: (value) => value.toString(),
});

export const happened = defineEvent({
  stream: "EVENTS",
  type: "test.happened",
  version: 1,
  pattern: "evt.test.happened.v1.{itemId}",
  description: "For tests.",
  data: z.strictObject({ itemId: z.string(), amount }),
});

/** Same stream, not handled by the consumers of these tests. */
export const ignored = defineEvent({
  stream: "EVENTS",
  type: "test.ignored",
  version: 1,
  pattern: "evt.test.ignored.v1.{itemId}",
  description: "For tests.",
  data: z.strictObject({ itemId: z.string() }),
});

export const reserve = defineRpc({
  subject: "rpc.test.reserve.v1",
  description: "For tests.",
  timeoutMs: 1_000,
  req: z.strictObject({ item: z.string(), amount }),
  res: z.strictObject({ reserved: amount, by: z.string() }),
  errors: ["out_of_stock", "frozen"],
});

export const prices = defineKv({
  bucket: "test_prices",
  description: "For tests.",
  value: z.strictObject({ price: amount }),
  history: 2,
  ttlMs: 0,
  maxValueBytes: 200,
});

export interface LogLine extends BusLogFields {
  readonly level: "info" | "warn" | "error";
  readonly event: string;
}

export interface RecordingLogger extends BusLogger {
  readonly lines: LogLine[];
}

export function recordingLogger(): RecordingLogger {
  const lines: LogLine[] = [];
  const at =
    (level: LogLine["level"]) =>
    (event: string, fields: BusLogFields = {}) => {
      lines.push({ level, event, ...fields });
    };
  return { lines, info: at("info"), warn: at("warn"), error: at("error") };
}

export interface TestBus {
  readonly nats: PrivateNats;
  readonly logger: RecordingLogger;
  /** Connections opened here are closed with the server. */
  connect(source?: string, url?: string): Promise<Bus>;
  stop(): Promise<void>;
}

/** One private server; every connection of the test file hangs on it. */
export async function startTestBus(): Promise<TestBus> {
  const nats = await startNats();
  const logger = recordingLogger();
  const open: Bus[] = [];
  return {
    nats,
    logger,
    connect: async (source = "test", url = nats.url) => {
      const bus = await connectBus({ servers: [url], name: source }, { logger, source });
      open.push(bus);
      return bus;
    },
    stop: async () => {
      await Promise.all(open.map((bus) => bus.drain()));
      await nats.stop();
    },
  };
}

/** A promise with its handles, for handlers that a test lets go. */
export function gate(): { readonly opened: Promise<void>; open(): void } {
  const { promise, resolve } = Promise.withResolvers<undefined>();
  return {
    opened: promise,
    open: () => {
      resolve(undefined);
    },
  };
}

/** Where the private server keeps JetStream's accounts, found by its port. */
export function storeFolder(nats: PrivateNats): string {
  for (const name of readdirSync(os.tmpdir()).filter((entry) => entry.startsWith("codex-nats-"))) {
    const folder = path.join(os.tmpdir(), name, "nats");
    try {
      if (readFileSync(path.join(folder, "server.conf"), "utf8").includes(`:${String(nats.port)}"`)) {
        return path.join(folder, "jetstream");
      }
    } catch {
      // Another server's folder, going away.
    }
  }
  throw new Error("the private server's folder was not found");
}

export interface Link {
  /** The server's address through this link. */
  readonly url: string;
  /** Bytes that went to the server. */
  readonly sentBytes: () => number;
  /** From now on what the server says stays on the way; what is said to it passes. */
  hold(): void;
  /** Lets everything through, in order. */
  letGo(): void;
  /** Breaks the connections through it, as a network would. */
  cut(): void;
  stop(): Promise<void>;
}

/** A network in front of the private server that can be slow when a test needs it. */
export async function startLink(nats: PrivateNats): Promise<Link> {
  const pairs = new Set<{ readonly near: net.Socket; readonly far: net.Socket }>();
  let sentBytes = 0;
  const server = net.createServer((near) => {
    const far = net.connect(nats.port, "127.0.0.1");
    const pair = { near, far };
    pairs.add(pair);
    const end = (): void => {
      pairs.delete(pair);
      near.destroy();
      far.destroy();
    };
    for (const socket of [near, far]) socket.on("error", end).on("close", end);
    near.on("data", (bytes: Buffer) => {
      sentBytes += bytes.length;
      far.write(bytes);
    });
    far.on("data", (bytes: Buffer) => near.write(bytes));
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const url = new URL(nats.url);
  url.port = String((server.address() as net.AddressInfo).port);
  const cut = (): void => {
    for (const { near } of pairs) near.destroy();
  };
  return {
    url: url.href,
    sentBytes: () => sentBytes,
    hold: () => {
      for (const { far } of pairs) far.pause();
    },
    letGo: () => {
      for (const { far } of pairs) far.resume();
    },
    cut,
    stop: async () => {
      const closed = new Promise<void>((resolve) => server.close(() => resolve()));
      cut();
      await closed;
    },
  };
}
