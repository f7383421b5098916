import { streams, subjectOf, type EventDef, type SubjectParams } from "@codex/contracts";
import { newId } from "@codex/kernel";
import { z } from "zod";
import { traceHeaders } from "./trace.ts";

/**
 * An event on the wire is a CloudEvents 1.0 JSON object (structured mode, https://cloudevents.io, spec v1.0.2 §3): `id` is
 * the dedupe key, `type` carries the version ("key.changed.v1"), `data` is the contract's wire form.
 */
const envelope = z.object({
  specversion: z.literal("1.0"),
  id: z.string().min(1).max(256),
  source: z.string().min(1).max(128),
  type: z.string().min(1).max(128),
  time: z.iso.datetime({ offset: true }),
  data: z.unknown(),
});
type Envelope = z.infer<typeof envelope>;

export interface EventMessage<P extends string, S extends z.ZodType> {
  /** Dedupe key; the same id on every resend of the same fact. A fresh `evt_…` when absent. */
  readonly id?: string | undefined;
  readonly params: SubjectParams<P>;
  readonly data: z.output<S>;
  /** When the fact happened; now when absent. */
  readonly time?: Date | undefined;
}

/** An event whose data are wire form already, as JSON: the sender answers for its fitting the schema. */
export interface JsonMessage<P extends string> extends Omit<EventMessage<P, z.ZodType>, "data"> {
  readonly json: string;
}

/** What is put into an outbox row, and what the relay publishes. */
export interface EncodedEvent {
  readonly eventId: string;
  readonly subject: string;
  readonly payload: string;
  readonly headers: Record<string, string>;
}

/** "key.changed.v1": the type as it stands in the envelope. */
export function eventTypeOf(event: Pick<EventDef, "type" | "version">): string {
  return `${event.type}.v${String(event.version)}`;
}

function headerBytes(eventId: string, headers: Readonly<Record<string, string>>): number {
  const lines = Object.entries({ ...headers, "Nats-Msg-Id": eventId });
  // "NATS/1.0\r\n" + lines of "name: value\r\n" + "\r\n", plus room for the expected-stream line.
  return lines.reduce((sum, [name, value]) => sum + Buffer.byteLength(name) + Buffer.byteLength(value) + 4, 12 + 64);
}

/**
 * Checks and encodes. Throws on a bad subject parameter, on data that does not fit the schema, and on a message larger
 * than its stream takes: an outbox row that can never be published would block all rows behind it.
 */
export function encodeEvent<P extends string, S extends z.ZodType>(
  event: EventDef<P, S>,
  message: EventMessage<P, S>,
  source: string,
): EncodedEvent {
  const json = JSON.stringify(z.encode(event.data, message.data));
  return encodeJson(event, { ...message, json }, source);
}

/** {@link encodeEvent} without the check of the data. */
export function encodeJson<P extends string, S extends z.ZodType>(
  event: EventDef<P, S>,
  message: JsonMessage<P>,
  source: string,
): EncodedEvent {
  const eventId = message.id ?? newId("evt");
  const head = JSON.stringify({
    specversion: "1.0",
    id: eventId,
    source,
    type: eventTypeOf(event),
    time: (message.time ?? new Date()).toISOString(),
    datacontenttype: "application/json",
  });
  const payload = `${head.slice(0, -1)},"data":${message.json}}`;
  const headers = { "content-type": "application/cloudevents+json", ...traceHeaders() };
  const bytes = Buffer.byteLength(payload) + headerBytes(eventId, headers);
  const { maxMessageBytes } = streams[event.stream];
  if (bytes > maxMessageBytes) {
    throw new Error(
      `${event.type} of ${String(bytes)} bytes exceeds the ${String(maxMessageBytes)} of stream ${event.stream}`,
    );
  }
  return { eventId, subject: subjectOf(event.pattern, message.params), payload, headers };
}

/** Where and how a value failed, without the value: it may be secret and it may be huge. */
function describeIssues(error: z.ZodError): string {
  return error.issues
    .slice(0, 5)
    .map((issue) => `${issue.path.map(String).join(".") || "(root)"}: ${issue.code}`)
    .join("; ");
}

export type Parsed<T> = { readonly ok: true; readonly value: T } | { readonly ok: false; readonly problem: string };

const utf8 = new TextDecoder("utf-8", { fatal: true });

/** Bytes → JSON value; never throws. */
export function parseJson(bytes: Uint8Array): Parsed<unknown> {
  try {
    return { ok: true, value: JSON.parse(utf8.decode(bytes)) as unknown };
  } catch {
    return { ok: false, problem: "not JSON in UTF-8" };
  }
}

/** The envelope alone: whose event it is, before its data is looked at. Never throws. */
export function parseEnvelope(bytes: Uint8Array): Parsed<Envelope> {
  const json = parseJson(bytes);
  if (!json.ok) return json;
  const parsed = envelope.safeParse(json.value);
  return parsed.success ? { ok: true, value: parsed.data } : { ok: false, problem: describeIssues(parsed.error) };
}

/** Wire form of the data → the contract's type. Never throws. */
export function parseData<S extends z.ZodType>(schema: S, wire: unknown): Parsed<z.output<S>> {
  const parsed = schema.safeParse(wire);
  return parsed.success ? { ok: true, value: parsed.data } : { ok: false, problem: describeIssues(parsed.error) };
}

export interface DecodedEvent<T> {
  readonly id: string;
  readonly source: string;
  readonly time: Date;
  readonly data: T;
}

/** A whole message of one declared event, for callers of the raw batched loop. Never throws. */
export function decodeEvent<P extends string, S extends z.ZodType>(
  event: EventDef<P, S>,
  bytes: Uint8Array,
): Parsed<DecodedEvent<z.output<S>>> {
  const outer = parseEnvelope(bytes);
  if (!outer.ok) return outer;
  if (outer.value.type !== eventTypeOf(event)) return { ok: false, problem: "another event type" };
  const data = parseData(event.data, outer.value.data);
  if (!data.ok) return data;
  const { id, source, time } = outer.value;
  return { ok: true, value: { id, source, time: new Date(time), data: data.value } };
}
