import { eventually, leakCheck } from "@codex/testkit";
import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { classesOf, costOf, notesOf, open, realtimePrices, refusal, rowsOf, sum } from "./_realtime.ts";
import { send, startWorld, type World } from "./_world.ts";

// Sessions over a websocket, by a real client, before the demo upstream: what is charged is held against what that counted.

const leaks = leakCheck();
let world: World;

const faulty = ["demo-midstream-cut-4", "demo-silence-6", "demo-no-usage", "demo-hostile-usage", "demo-slow-300ms"];

beforeAll(async () => {
  const [text, sound] = realtimePrices("demo-realtime");
  const others = faulty.map((model) => realtimePrices(model));
  world = await startWorld(
    { GATEWAY_REALTIME_IDLE_MS: "60000" },
    [text, ...others.map(([own]) => own), "demo-length-40"],
    [sound, ...others.map(([, own]) => own)],
  );
}, 60_000);

afterAll(async () => {
  await world.stop();
  await leaks.assertClean();
}, 30_000);

const rich = 100_000_000_000n;

describe("what a session costs", () => {
  test("given a text session, when two responses are asked for, then each is charged as the upstream counted it, cached tokens apart", async () => {
    const { accountId, apiKey } = world.customer(rich);
    const client = await open(world, { apiKey });
    await client.byHand({ output_modalities: ["text"] });
    for (const turn of [1, 2]) {
      client.say(`Turn ${String(turn)}: say something.`);
      client.send({ type: "response.create" });
      await client.next("response.done", turn);
    }
    const [first, second] = await eventually(
      () => {
        const notes = notesOf(world, client);
        return notes.length === 2 && notes;
      },
      { what: "two notes of the upstream" },
    );
    const rows = await rowsOf(world, accountId, 2);
    expect(rows).toHaveLength(2);
    expect(rows[1]?.tokens).toMatchObject(classesOf(second?.reportedUsage ?? {}).text);
    expect(rows[1]?.tokens.cachedInput).toBeGreaterThan(0);
    expect(rows.map(({ costMicroTokens }) => costMicroTokens)).toEqual([
      costOf(first?.reportedUsage ?? {}),
      costOf(second?.reportedUsage ?? {}),
    ]);
    const told = (await client.next("response.done", 2)) as {
      response: { usage: { cost: number; request_ids: string[] } };
    };
    expect(told.response.usage.cost).toBe(Number(rows[1]?.costMicroTokens) / 1_000_000);
    expect(told.response.usage.request_ids).toEqual([rows[1]?.requestId]);
    expect(rows[0]).toMatchObject({
      route: "/v1/realtime",
      model: "demo-realtime",
      status: "ok",
      streamed: true,
      estimated: false,
    });
    client.close();
    await client.ended;
    const generation = await send(world.gateway, "GET", `/v1/generation?id=${rows[1]?.requestId ?? ""}`, {
      headers: { authorization: `Bearer ${apiKey}` },
    });
    expect(generation.body["data"]).toMatchObject({ route: "/v1/realtime", total_cost: told.response.usage.cost });
  }, 30_000);

  test("given speech, when the upstream hears the end of it, then its own response is charged, sound by the price row of sound", async () => {
    const { accountId, apiKey } = world.customer(rich);
    const client = await open(world, { apiKey });
    await client.next("session.created");
    client.speak(1_500);
    client.speak(300, true);
    await client.next("response.done");
    const [text, sound] = await rowsOf(world, accountId, 2);
    const [note] = notesOf(world, client);
    const counted = classesOf(note?.reportedUsage ?? {});
    expect(counted.sound).toMatchObject({ input: 18, cachedInput: 0 });
    expect(counted.sound.output).toBeGreaterThan(0);
    expect(text).toMatchObject({ model: "demo-realtime", tokens: counted.text });
    expect(sound).toMatchObject({ model: "demo-realtime:audio", tokens: counted.sound });
    expect(sum([text!, sound!])).toBe(costOf(note?.reportedUsage ?? {}));
    // The next one reads what was said as cached, sound too.
    client.speak(700);
    client.speak(300, true);
    await client.next("response.done", 2);
    const rows = await rowsOf(world, accountId, 4);
    const later = classesOf(notesOf(world, client)[1]?.reportedUsage ?? {});
    expect(later.sound.cachedInput).toBe(18);
    expect(rows.slice(2).map(({ tokens }) => tokens)).toMatchObject([later.text, later.sound]);
    expect(sum(rows)).toBe(
      notesOf(world, client).reduce((total, { reportedUsage }) => total + costOf(reportedUsage), 0n),
    );
    client.close();
    await client.ended;
  }, 30_000);

  test("given an upstream that reports no usage, or a hostile one, then the estimate is charged, and never a negative amount", async () => {
    for (const model of ["demo-no-usage", "demo-hostile-usage"]) {
      const { accountId, apiKey } = world.customer(rich);
      const client = await open(world, { apiKey, model });
      await client.byHand({ output_modalities: ["text"] });
      client.say("Say something.");
      client.send({ type: "response.create" });
      await client.next("response.done");
      const [row] = await rowsOf(world, accountId, 1);
      expect(row).toMatchObject({ model, estimated: true, status: "ok" });
      expect(row?.tokens.output).toBeGreaterThan(0);
      client.close();
      await client.ended;
    }
  }, 30_000);
});

describe("the handshake", () => {
  test("given what no session may have, then the answer is HTTP, with the code that any route would give", async () => {
    const { apiKey } = world.customer(rich);
    const poor = world.customer(1_000n);
    const expected = [
      [{}, 401, "missing_api_key"],
      [{ apiKey: "cx_live_nonsense" }, 401, "invalid_api_key"],
      [{ apiKey, model: "demo-unknown" }, 404, "model_not_found"],
      // No price of sound: never sold by realtime.
      [{ apiKey, model: "demo-small" }, 404, "model_not_supported"],
      [{ apiKey, path: "/v1/realtime" }, 400, "invalid_request"],
      [{ apiKey, path: "/v1/realtime?model=demo-realtime&model=demo-small" }, 400, "invalid_request"],
      [{ apiKey, path: "/v1/realtime?intent=transcription" }, 400, "unsupported_parameter"],
      [{ apiKey, headers: { "x-api-key": poor.apiKey } }, 400, "conflicting_credentials"],
      [{ apiKey, protocols: ["realtime", `openai-insecure-api-key.${poor.apiKey}`] }, 400, "conflicting_credentials"],
      [{ apiKey: poor.apiKey }, 402, "insufficient_quota"],
      [{ apiKey, path: "/v1/responses" }, 426, "upgrade_required"],
    ] as const;
    for (const [options, status, code] of expected) {
      const answer = await refusal(world, options);
      expect({ status: answer.status, error: answer.body["error"] }).toMatchObject({ status, error: { code } });
    }
    expect(world.billing.balance(poor.accountId)).toEqual({ paid: 1_000n, reserved: 0n });
    const plain = await send(world.gateway, "GET", "/v1/realtime?model=demo-realtime");
    expect(plain.status).toBe(426);
  }, 30_000);

  test("given a key in the subprotocol, as browsers send it, then the session opens, and the key is neither answered nor sent on", async () => {
    const { apiKey } = world.customer(rich);
    const client = await open(world, {
      protocols: ["realtime", `openai-insecure-api-key.${apiKey}`, "openai-beta.realtime-v1"],
    });
    expect(client.socket.protocol).toBe("realtime");
    expect(JSON.stringify(await client.next("session.created"))).not.toContain(apiKey);
    client.close();
    await client.ended;
  });
});

describe("the events of a session", () => {
  test("given events that are wrong or unknown, then each is answered by its id, and the session goes on", async () => {
    const { apiKey } = world.customer(rich);
    const client = await open(world, { apiKey });
    await client.byHand({ output_modalities: ["text"] });
    const wrong = [
      "no json",
      "[]",
      { type: "session.delete", event_id: "e2" },
      { type: "__proto__", event_id: "e3" },
      { type: "response.create", event_id: "e4", response: { prompt: { id: "pmpt_1" } } },
      { type: "response.create", event_id: "e5", response: { max_output_tokens: -1 } },
      {
        type: "conversation.item.create",
        event_id: "e6",
        item: { type: "message", content: [{ type: "input_image", image_url: "http://169.254.169.254/" }] },
      },
      `{"type":"conversation.item.create","event_id":"e7","item":${"[".repeat(200_000)}${"]".repeat(200_000)}}`,
      // Refused by the upstream: in our words, with its code.
      { type: "input_audio_buffer.commit", event_id: "e8" },
    ];
    for (const event of wrong) client.send(event);
    await client.next("error", wrong.length);
    const errors = client.seen
      .filter(({ type }) => type === "error")
      .map(({ error }) => error as Record<string, unknown>);
    expect(errors.map(({ event_id: id }) => id)).toEqual([null, null, "e2", "e3", "e4", "e5", "e6", "e7", "e8"]);
    expect(errors.at(-1)).toMatchObject({ code: "input_audio_buffer_commit_empty" });
    expect(JSON.stringify(errors.at(-1))).not.toContain("Nothing was said");
    client.say("Still here?");
    client.send({ type: "response.create" });
    await client.next("response.done");
    client.close();
    await client.ended;
  }, 30_000);

  test("given settings of the operator's account, then they do not go upstream, and its limits do not come back", async () => {
    const { apiKey } = world.customer(rich);
    const client = await open(world, { apiKey });
    await client.byHand({
      model: "demo-large",
      tracing: "auto",
      output_modalities: ["text"],
      max_output_tokens: "inf",
      audio: { input: { transcription: { model: "whisper-1" }, turn_detection: null } },
    });
    const { session } = (await client.next("session.updated")) as { session: Record<string, unknown> };
    expect(session).toMatchObject({
      model: "demo-realtime",
      tracing: null,
      max_output_tokens: 4_096,
      audio: { input: { transcription: null } },
    });
    client.say("hello");
    client.send({ type: "response.create" });
    await client.next("response.done");
    expect(client.seen.filter(({ type }) => type === "rate_limits.updated")).toEqual([]);
    client.close();
    await client.ended;
  });

  test("given a response out of the conversation beside a running one, then both are held and charged", async () => {
    const { accountId, apiKey } = world.customer(rich);
    const client = await open(world, { apiKey, model: "demo-slow-300ms" });
    await client.byHand({ output_modalities: ["text"] });
    client.say("one");
    client.send({ type: "response.create" });
    client.send({ type: "response.create", response: { conversation: "none", metadata: { topic: "aside" } } });
    await client.next("response.created", 2);
    expect(client.seen.filter(({ type }) => type === "response.done")).toEqual([]);
    await client.next("response.done", 2);
    const rows = await rowsOf(world, accountId, 2);
    expect(sum(rows)).toBe(
      notesOf(world, client).reduce((total, { reportedUsage }) => total + costOf(reportedUsage), 0n),
    );
    client.close();
    await client.ended;
  }, 30_000);
});
