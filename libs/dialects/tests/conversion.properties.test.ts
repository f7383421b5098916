import { propertyRuns } from "@codex/testkit";
import { expect, test } from "@jest/globals";
import fc from "fast-check";
import { dialects } from "../src/dialects.ts";
import { convertRequest, dialectNames, type DialectName } from "../src/index.ts";
import { camelCase } from "../src/gemini/camel-case.ts";
import { isObject, type JsonObject } from "../src/model/dialect.ts";
import type { OutputContext, StreamEvent } from "../src/model/events.ts";
import type { ConversionContext } from "../src/model/fields.ts";
import { attempt, type Conversion } from "../src/model/refusal.ts";
import type { ConversationRequest } from "../src/model/request.ts";
import { toolNames } from "../src/model/tool-names.ts";
import { createSseReader } from "../src/sse/reader.ts";
import { writeSse } from "../src/sse/writer.ts";
import { answers, eventsOf, mutate, mutations, requests } from "./_arbitrary.ts";
import { answerMeaning, foldEvents, requestMeaning } from "./_meaning.ts";
import { answerOptions, leastRequests, othersThan, streamFor } from "./_util.ts";

// For every pair of dialects: what is converted there and back means the same, or is refused by the name of its place.

const pairs = dialectNames.flatMap((from) => othersThan(from).map((to) => [from, to] as const));
const runs = { numRuns: propertyRuns(50) };
const url = { model: "m", stream: true };
const output: OutputContext = { ...answerOptions, model: "m", streamUsage: true };

function contextOf(from: DialectName, to: DialectName): ConversionContext {
  return { from, to, dropped: new Set() };
}

function write(dialect: DialectName, request: ConversationRequest): Conversion<JsonObject> {
  const context = contextOf(dialect, dialect);
  return attempt(context.dropped, () =>
    dialects[dialect].requestOut(context, request, toolNames(context, request.tools), { extensions: true }),
  );
}

function read(dialect: DialectName, body: unknown): ConversationRequest {
  const read = attempt(new Set(), () => dialects[dialect].requestIn(contextOf(dialect, dialect), body, url));
  if (!read.ok) throw new Error(`${dialect} does not read what it writes: ${JSON.stringify(read.refusal)}`);
  return read.value;
}

function valueAt(body: unknown, path: string): unknown {
  return path
    .replaceAll(/\[(\d+)\]/g, ".$1")
    .split(".")
    .reduce<unknown>(
      (node, key) => (isObject(node) || Array.isArray(node) ? (node as JsonObject)[key] : undefined),
      body,
    );
}

/** Chat moves media out of results (message-out.ts), which cannot be undone. */
function withoutResultMedia(request: ConversationRequest): ConversationRequest {
  const turns = request.turns.map((turn) =>
    turn.role === "user"
      ? {
          ...turn,
          parts: turn.parts.map((part) =>
            part.type === "tool_result"
              ? { ...part, content: part.content.filter(({ type }) => type === "text") }
              : part,
          ),
        }
      : turn,
  );
  return { ...request, turns };
}

test.each(pairs)(
  "given a request of %s, when it is converted to %s and back, then it means the same or is refused by name",
  (from, to) => {
    let converted = 0;
    let tried = 0;
    fc.assert(
      fc.property(requests, (drawn) => {
        const chat = from === "chat" || to === "chat";
        const written = write(from, chat ? withoutResultMedia(drawn) : drawn);
        if (!written.ok) return;
        tried += 1;
        const asked = read(from, written.value);
        const there = convertRequest({ from, to, body: written.value, url });
        if (!there.ok) {
          expect(there.refusal.kind).toBe("unsupported");
          expect(
            valueAt(from === "gemini" ? camelCase(written.value) : written.value, there.refusal.path),
          ).toBeDefined();
          return;
        }
        converted += 1;
        const back = write(from, read(to, there.value.body));
        if (!back.ok) throw new Error(back.refusal.message);
        expect(requestMeaning(read(from, back.value), [from, to])).toEqual(requestMeaning(asked, [from, to]));
      }),
      runs,
    );
    // A property that refuses nearly everything would prove nothing.
    expect(converted / tried).toBeGreaterThan(0.15);
  },
);

test.each(pairs)("given an answer of %s, when a %s client reads it, then it means the same", (provider, client) => {
  fc.assert(
    fc.property(answers, (answer) => {
      const context = contextOf(provider, client);
      const body = dialects[provider].answerOut(output, answer);
      const told = dialects[provider].answerIn(context, body, "req_1");
      const written = dialects[client].answerOut(output, told);
      const heard = dialects[client].answerIn(contextOf(client, client), written, "req_1");
      expect(answerMeaning(heard, [provider, client])).toEqual(answerMeaning(told, [provider, client]));
    }),
    runs,
  );
});

function readStream(dialect: DialectName, text: string): StreamEvent[] {
  const reader = dialects[dialect].streamIn("req_1");
  const wire = createSseReader().push(new TextEncoder().encode(text));
  return [...wire.flatMap(reader.push), ...reader.end()];
}

test.each(pairs)(
  "given a stream of %s, when a %s client reads it, then it means what the whole answer means",
  (provider, client) => {
    fc.assert(
      fc.property(answers, fc.integer({ min: 1, max: 5 }), (answer, pieceLength) => {
        const writer = dialects[provider].streamOut(output);
        const text = eventsOf(answer, pieceLength).flatMap(writer.push).map(writeSse).join("");
        const told = foldEvents(readStream(provider, text));
        const conversion = streamFor(client, provider);
        const written = [...conversion.push(new TextEncoder().encode(text)), ...conversion.end()].join("");
        expect(conversion.state().fault).toBeUndefined();
        const heard = foldEvents(readStream(client, written));
        expect(answerMeaning(heard, [provider, client])).toEqual(answerMeaning(told, [provider, client]));
        const context = contextOf(provider, provider);
        const whole = dialects[provider].answerIn(context, dialects[provider].answerOut(output, answer), "req_1");
        expect(answerMeaning(told, [provider])).toEqual(answerMeaning(whole, [provider]));
      }),
      runs,
    );
  },
);

test.each(pairs)(
  "given any JSON, when it is a request of %s for %s, then it is converted or refused, and nothing else",
  (from, to) => {
    const attemptRequest = (body: unknown): void => {
      const converted = convertRequest({ from, to, body, url, outputTokensMax: 100 });
      if (!converted.ok) expect(converted.refusal.message).not.toBe("");
      else JSON.stringify(converted.value.body);
    };
    fc.assert(fc.property(fc.jsonValue(), attemptRequest), runs);
    fc.assert(
      fc.property(requests, fc.array(mutations, { minLength: 1, maxLength: 3, size: "max" }), (request, changes) => {
        const written = write(from, request);
        if (written.ok) attemptRequest(changes.reduce<unknown>(mutate, written.value));
      }),
      runs,
    );
  },
);

test.each(pairs)(
  "given any JSON, when it is an answer for a %s client of %s, then it is converted or refused, and nothing else",
  (client, provider) => {
    const exchange = convertRequest({ from: client, to: provider, ...leastRequests[client], outputTokensMax: 100 });
    if (!exchange.ok) throw new Error(exchange.refusal.message);
    const attemptAnswer = (body: unknown): void => {
      const converted = exchange.value.answer(body, answerOptions);
      if (!converted.ok) expect(["upstream", "unsupported"]).toContain(converted.refusal.kind);
    };
    fc.assert(fc.property(fc.jsonValue(), attemptAnswer), runs);
    fc.assert(
      fc.property(answers, mutations, (answer, change) => {
        attemptAnswer(mutate(dialects[provider].answerOut(output, answer), change));
      }),
      runs,
    );
  },
);

test.each(pairs)(
  "given a broken stream, when a %s client of %s reads it, then it ends once, whole or with an error",
  (client, provider) => {
    fc.assert(
      fc.property(answers, mutations, fc.nat(), fc.nat(), (answer, change, at, cut) => {
        const writer = dialects[provider].streamOut(output);
        const wire = eventsOf(answer, 3).flatMap(writer.push);
        const broken = wire.map((event, index) =>
          index === at % wire.length && event.data.startsWith("{")
            ? { ...event, data: JSON.stringify(mutate(JSON.parse(event.data), change)) }
            : event,
        );
        const text = broken.map(writeSse).join("");
        const bytes = new TextEncoder().encode(text).subarray(0, cut % (text.length * 2));
        const conversion = streamFor(client, provider);
        const written = [...conversion.push(bytes), ...conversion.end(), ...conversion.end()];
        expect(conversion.state().over).toBe(true);
        const events = createSseReader().push(new TextEncoder().encode(written.join("")));
        expect(events.length).toBe(written.length);
        if (conversion.state().fault !== undefined)
          expect(() => foldEvents(readStream(client, written.join("")))).toThrow();
      }),
      runs,
    );
  },
);
