import { readdirSync, readFileSync } from "node:fs";
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
  connect(source?: string): Promise<Bus>;
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
    connect: async (source = "test") => {
      const bus = await connectBus({ servers: [nats.url], name: source }, { logger, source });
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
