import { leakCheck } from "@codex/testkit";
import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { readEvents, recordOf, toldCost } from "./_streams.ts";
import { priceOf, send, startWorld, type Answer, type World } from "./_world.ts";

// Pictures and sound through a gateway in front of the demo upstream: JSON and forms, whole and streamed.

const leaks = leakCheck();
let world: World;
let apiKey: string;

const free = { input: 0n, cachedInput: 0n, cacheWrite: 0n, cacheWrite1h: 0n, output: 0n, reasoning: 0n };
const perImage = [
  { variant: "256x256-low", microTokens: 10_000n },
  { variant: "1024x1024-high", microTokens: 160_000n },
];

beforeAll(async () => {
  world = await startWorld({}, [
    priceOf("demo-image", { rates: free, perImage }),
    priceOf("demo-empty", { rates: free, perImage }),
    priceOf("demo-speech", { rates: free, perAudioSecond: 1_000_000n }),
    priceOf("demo-midstream-cut-40", { rates: free, perAudioSecond: 1_000_000n }),
    priceOf("demo-whisper", { rates: free, perAudioSecond: 1_000_000n }),
    "demo-transcribe",
    "demo-no-usage",
  ]);
  ({ apiKey } = world.customer(100_000_000_000n));
}, 60_000);

afterAll(async () => {
  await world.stop();
  await leaks.assertClean();
}, 30_000);

const authorization = () => ({ authorization: `Bearer ${apiKey}` });

function post(path: string, body: Readonly<Record<string, unknown>>): Promise<Answer> {
  return send(world.gateway, "POST", path, { headers: authorization(), body });
}

async function postForm(path: string, form: FormData): Promise<Answer> {
  const response = await fetch(`${world.gateway.httpUrl ?? ""}${path}`, {
    method: "POST",
    headers: authorization(),
    body: form,
    signal: AbortSignal.timeout(20_000),
  });
  const text = await response.text();
  const isJson = (response.headers.get("content-type") ?? "").includes("json");
  const body = isJson ? (JSON.parse(text) as Answer["body"]) : {};
  return { status: response.status, headers: response.headers, text, body };
}

function formOf(fields: Readonly<Record<string, string | Blob>>): FormData {
  const form = new FormData();
  for (const [name, value] of Object.entries(fields)) {
    if (typeof value === "string") form.append(name, value);
    else form.append(name, value, "x.bin");
  }
  return form;
}

/** Silence: 8 kHz, 16 bit, one channel. */
function wav(seconds: number): Blob {
  const data = Buffer.alloc(seconds * 16_000);
  const head = Buffer.alloc(44);
  head.write("RIFF\0\0\0\0WAVEfmt ", "latin1");
  head.writeUInt32LE(16, 16);
  head.writeUInt32LE(8_000, 24);
  head.writeUInt32LE(16_000, 28);
  head.write("data", 36);
  head.writeUInt32LE(data.length, 40);
  return new Blob([head, data]);
}

const picture = { model: "demo-image", prompt: "a cat", size: "256x256", quality: "low" };
const png = new Blob([Buffer.from("89504e470d0a1a0a", "hex")]);

describe("pictures", () => {
  test("given two of a variant, then two are charged at its price, and held no dearer", async () => {
    const answer = await post("/v1/images/generations", { ...picture, n: 2 });
    const data = answer.body["data"] as { b64_json: string }[];
    expect(Buffer.from(data[0]!.b64_json, "base64").toString("latin1", 1, 4)).toBe("PNG");
    expect(toldCost(answer.body["usage"])).toBe(20_000n);
    expect(await recordOf(world, answer)).toMatchObject({
      route: "/v1/images/generations",
      status: "ok",
      estimated: false,
      images: { count: 2, variant: "256x256-low" },
      costMicroTokens: 20_000n,
      holdMicroTokens: 20_000n,
    });
  });

  test("given no size or quality, then the dearest is held, and what the provider says it made is charged", async () => {
    const answer = await post("/v1/images/generations", { model: "demo-image", prompt: "a cat" });
    expect(await recordOf(world, answer)).toMatchObject({
      images: { count: 1, variant: "1024x1024-medium" },
      holdMicroTokens: 160_000n,
    });
  });

  test("given a stream, then partial pictures come, and the cost with the completed one", async () => {
    const answer = await post("/v1/images/generations", { ...picture, stream: true, partial_images: 2 });
    const events = readEvents(answer.text);
    expect(events.map(({ name }) => name)).toEqual([
      "image_generation.partial_image",
      "image_generation.partial_image",
      "image_generation.completed",
    ]);
    expect(toldCost(events.at(-1)!.data["usage"])).toBe(10_000n);
    expect(await recordOf(world, answer)).toMatchObject({
      streamed: true,
      images: { count: 1, variant: "256x256-low" },
    });
  });

  test("given an answer without a picture, then none is charged, and the row says so for the refund", async () => {
    const answer = await post("/v1/images/generations", { ...picture, model: "demo-empty" });
    expect(await recordOf(world, answer)).toMatchObject({ status: "ok", images: { count: 0 }, costMicroTokens: 0n });
  });

  test("edits: given a form with one picture, a form with two, or JSON as Codex sends it, then each is served", async () => {
    const form = formOf({ ...picture, image: png });
    const two = formOf(picture);
    two.append("image[]", png, "a.png");
    two.append("image[]", png, "b.png");
    const json = { ...picture, images: [{ image_url: "data:image/png;base64,iVBORw0KGgo=" }] };
    const answers = [
      await postForm("/v1/images/edits", form),
      await postForm("/v1/images/edits", two),
      await post("/v1/images/edits", json),
    ];
    for (const answer of answers) {
      expect(answer.status).toBe(200);
      expect(await recordOf(world, answer)).toMatchObject({ route: "/v1/images/edits", costMicroTokens: 10_000n });
    }
    const streamed = await postForm("/v1/images/edits", formOf({ ...picture, image: png, stream: "true" }));
    expect(readEvents(streamed.text).at(-1)!.name).toBe("image_edit.completed");
  });

  test.each([
    ["prompt", { prompt: "" }],
    ["n", { n: 11 }],
    ["sise", { sise: "1" }],
  ])("given a wrong %s, then 400 by name", async (param, more) => {
    const answer = await post("/v1/images/generations", { ...picture, ...more });
    expect(answer.status).toBe(400);
    expect(answer.body["error"]).toMatchObject({ param });
  });

  test("SEC-80 given a picture by http or file URL, then it is refused; nobody fetches it", async () => {
    for (const url of ["http://127.0.0.1/x.png", "file:///etc/passwd", "//host/x", "ftp://h/x"]) {
      const answer = await post("/v1/images/edits", { ...picture, images: [{ image_url: url }] });
      expect(answer.status).toBe(400);
      const chat = await post("/v1/chat/completions", {
        model: "demo-small",
        messages: [{ role: "user", content: [{ type: "image_url", image_url: { url } }] }],
      });
      expect(chat.status).toBe(400);
    }
  });
});

describe("speech", () => {
  const say = { model: "demo-speech", voice: "alloy", input: "word ".repeat(40) };

  test.each([
    ["mp3", "audio/mpeg"],
    ["wav", "audio/wav"],
    ["pcm", "audio/pcm"],
  ])(
    "given %s, then the sound comes as it is made under our own type, and is charged by its length",
    async (format, type) => {
      const answer = await post("/v1/audio/speech", { ...say, response_format: format });
      expect(answer.status).toBe(200);
      expect(answer.headers.get("content-type")).toBe(type);
      const record = await recordOf(world, answer);
      // The demo speaks a token in a quarter of a second: 200 bytes, 50 tokens, 12.5 s.
      expect(record).toMatchObject({ route: "/v1/audio/speech", status: "ok" });
      expect(Math.abs(record.audioMs - 12_500)).toBeLessThan(150);
      expect(record.costMicroTokens).toBe((BigInt(record.audioMs) * 1_000_000n) / 1_000n);
    },
  );

  test("given events, then the usage is at the end with the cost", async () => {
    const answer = await post("/v1/audio/speech", { ...say, stream_format: "sse" });
    const last = readEvents(answer.text).at(-1)!;
    expect(last.name).toBe("speech.audio.done");
    expect(last.data["usage"]).toMatchObject({ input_tokens: 50, cost: 0 });
    expect(await recordOf(world, answer)).toMatchObject({ streamed: true, estimated: false, tokens: { input: 50 } });
  });

  test("given a cut, then the connection breaks, and only what came is charged", async () => {
    const whole = await recordOf(world, await post("/v1/audio/speech", { ...say, response_format: "pcm" }));
    const request = fetch(`${world.gateway.httpUrl ?? ""}/v1/audio/speech`, {
      method: "POST",
      headers: { ...authorization(), "content-type": "application/json" },
      body: JSON.stringify({ ...say, model: "demo-midstream-cut-40", response_format: "pcm" }),
    });
    const response = await request;
    await expect(response.arrayBuffer()).rejects.toThrow();
    const record = await recordOf(world, response);
    expect(record).toMatchObject({ status: "upstream_cut", errorCode: "stream_interrupted" });
    expect(record.audioMs).toBeLessThan(whole.audioMs);
  });
});

describe("transcripts", () => {
  test("given a provider that reports seconds, then they are charged, and shown with the cost", async () => {
    const answer = await postForm("/v1/audio/transcriptions", formOf({ file: wav(3), model: "demo-whisper" }));
    expect(answer.body).toMatchObject({ text: "This is a demo transcript of 3.00 seconds.", usage: { seconds: 3 } });
    expect(toldCost(answer.body["usage"])).toBe(3_000_000n);
    expect(await recordOf(world, answer)).toMatchObject({
      route: "/v1/audio/transcriptions",
      status: "ok",
      estimated: false,
      audioMs: 3_000,
      costMicroTokens: 3_000_000n,
    });
  });

  test("given one that reports tokens, then they are charged, plain and streamed", async () => {
    for (const stream of ["false", "true"]) {
      const form = formOf({ model: "demo-transcribe", file: wav(2), prompt: "names: Anna", stream });
      const answer = await postForm("/v1/audio/transcriptions", form);
      const usage = stream === "true" ? readEvents(answer.text).at(-1)!.data["usage"] : answer.body["usage"];
      expect(usage).toMatchObject({ type: "tokens", input_tokens: 20 });
      const record = await recordOf(world, answer);
      expect(record).toMatchObject({ audioMs: 0, estimated: false, tokens: { input: 20 } });
      expect(toldCost(usage)).toBe(record.costMicroTokens);
    }
  });

  test("given a plain text format, which has no usage, then the file's own length is charged", async () => {
    const form = formOf({ file: wav(4), model: "demo-whisper", response_format: "text" });
    const answer = await postForm("/v1/audio/translations", form);
    expect(answer.headers.get("content-type")).toBe("text/plain; charset=utf-8");
    expect(answer.text).toBe("This is a demo transcript of 4.00 seconds.");
    const record = await recordOf(world, answer);
    expect(record).toMatchObject({ route: "/v1/audio/translations", estimated: true });
    expect(Math.abs(record.audioMs - 4_000)).toBeLessThan(10);
  });

  test.each([
    ["no file", formOf({ model: "demo-whisper" }), "file"],
    ["an unknown field", formOf({ model: "demo-whisper", file: wav(1), langage: "en" }), "langage"],
    ["a file of another name", formOf({ model: "demo-whisper", sound: wav(1) }), "sound"],
    ["no model", formOf({ file: wav(1) }), "model"],
  ])("given %s, then 400 by name", async (_what, form, param) => {
    const answer = await postForm("/v1/audio/transcriptions", form);
    expect(answer.status).toBe(400);
    expect(answer.body["error"]).toMatchObject({ param });
  });

  test("SEC-98 given the model twice in one form, then it is refused: two readers could take different ones", async () => {
    const form = formOf({ model: "demo-whisper", file: wav(1) });
    form.append("model", "demo-transcribe");
    const answer = await postForm("/v1/audio/transcriptions", form);
    expect(answer.body["error"]).toMatchObject({ code: "invalid_request", param: "model" });
  });

  test("given JSON where a form is wanted, then 415 names what to send", async () => {
    const answer = await post("/v1/audio/transcriptions", { model: "demo-whisper" });
    expect(answer.status).toBe(415);
    expect(answer.text).toContain("multipart/form-data");
  });
});
