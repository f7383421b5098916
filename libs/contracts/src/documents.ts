import * as z from "zod";
import { wildcardOf } from "./define.ts";
import { allEvents, allKvs, allRpcs, allSignals } from "./registry.ts";
import { streams } from "./streams.ts";

/** The wire form: what a codec reads and writes as text appears as a string. */
function schemaOf(schema: z.ZodType): object {
  return z.toJSONSchema(schema, { io: "input", unrepresentable: "any" });
}

/** Schemas nested in the AsyncAPI document must not repeat the dialect line. */
function nestedSchemaOf(schema: z.ZodType): object {
  return Object.fromEntries(Object.entries(schemaOf(schema)).filter(([name]) => name !== "$schema"));
}

function json(value: unknown): string {
  return `${JSON.stringify(value, null, 2)}\n`;
}

/** AsyncAPI 3.0 of everything that travels on NATS; the channel address is the subject with `{parameters}`. */
export function asyncApiDocument(): object {
  const channels: Record<string, object> = {};
  const operations: Record<string, object> = {};
  for (const event of allEvents) {
    const name = `${event.type}.v${event.version}`;
    channels[name] = {
      address: event.pattern,
      description: event.description,
      messages: { event: { name, contentType: "application/cloudevents+json", payload: nestedSchemaOf(event.data) } },
      "x-nats-stream": event.stream,
      "x-nats-subject": wildcardOf(event.pattern),
    };
    operations[name] = { action: "send", channel: { $ref: `#/channels/${name}` } };
  }
  for (const rpc of allRpcs) {
    channels[rpc.subject] = {
      address: rpc.subject,
      description: rpc.description,
      messages: {
        request: { payload: nestedSchemaOf(rpc.req) },
        reply: { payload: nestedSchemaOf(rpc.res) },
      },
      "x-timeout-ms": rpc.timeoutMs,
      "x-errors": rpc.errors,
    };
    operations[rpc.subject] = {
      action: "receive",
      channel: { $ref: `#/channels/${rpc.subject}` },
      reply: { channel: { $ref: `#/channels/${rpc.subject}` } },
    };
  }
  for (const signal of allSignals) {
    const name = wildcardOf(signal.pattern);
    channels[name] = {
      address: signal.pattern,
      description: signal.description,
      messages: { signal: { contentType: "application/json", payload: nestedSchemaOf(signal.data) } },
    };
    operations[name] = { action: "send", channel: { $ref: `#/channels/${name}` } };
  }
  return {
    asyncapi: "3.0.0",
    info: { title: "Codex API bus", version: "1", description: "Generated from libs/contracts; do not edit." },
    channels,
    operations,
    "x-nats-streams": streams,
    "x-nats-buckets": allKvs.map((kv) => ({
      bucket: kv.bucket,
      description: kv.description,
      history: kv.history,
      ttlMs: kv.ttlMs,
      maxValueBytes: kv.maxValueBytes,
    })),
  };
}

/** Relative path below docs/contracts → text, in a stable order. */
export function renderContractFiles(): ReadonlyMap<string, string> {
  const files = new Map<string, string>([["asyncapi.json", json(asyncApiDocument())]]);
  for (const event of allEvents) files.set(`schemas/${event.type}.v${event.version}.json`, json(schemaOf(event.data)));
  for (const rpc of allRpcs) {
    files.set(`schemas/${rpc.subject}.request.json`, json(schemaOf(rpc.req)));
    files.set(`schemas/${rpc.subject}.reply.json`, json(schemaOf(rpc.res)));
  }
  for (const signal of allSignals) {
    const name = signal.pattern.replaceAll(/\.\{[A-Za-z]+\}/g, "");
    files.set(`schemas/${name}.json`, json(schemaOf(signal.data)));
  }
  for (const kv of allKvs) files.set(`schemas/kv.${kv.bucket}.json`, json(schemaOf(kv.value)));
  return files;
}
