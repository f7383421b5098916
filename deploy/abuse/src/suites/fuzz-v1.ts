import { keyCreated } from "@codex/contracts";
import { v1Routes } from "@codex/gateway-proxy";
import fc from "fast-check";
import { apiErrorFormOf, leakIn } from "../checks.ts";
import { hostileText, mutated, mutation, rawBodies } from "../hostile.ts";
import { each, Tally, type Outcome, type SuiteOptions } from "../suite.ts";
import { send, type Ask } from "../visitor.ts";
import type { World } from "../world.ts";

/**
 * The API of models has no document of its own: its bodies are those of OpenAI and Anthropic. A good body of each route stands
 * here, and what is sent is it with one place changed, or no document at all. A route without one is a finding.
 */

const messages = [{ role: "user", content: "hi" }];
const model = "demo-small";
const form = { "content-type": "multipart/form-data; boundary=abuse" };

interface Form {
  readonly body?: unknown;
  readonly headers?: Readonly<Record<string, string>>;
}

const goods: Readonly<Record<string, Form>> = {
  "POST /v1/chat/completions": {
    body: {
      model,
      messages,
      stream: false,
      max_tokens: 16,
      temperature: 1,
      tools: [{ type: "function", function: { name: "f", parameters: { type: "object" } } }],
    },
  },
  "POST /v1/responses": { body: { model, input: "hi", max_output_tokens: 16, instructions: "be brief" } },
  "POST /v1/messages": { body: { model, max_tokens: 16, messages }, headers: { "anthropic-version": "2023-06-01" } },
  "POST /v1/messages/count_tokens": { body: { model, messages }, headers: { "anthropic-version": "2023-06-01" } },
  "POST /v1/completions": { body: { model, prompt: "hi", max_tokens: 16 } },
  "POST /v1/embeddings": { body: { model, input: ["hi"] } },
  "POST /v1/moderations": { body: { model, input: "hi" } },
  // The demo upstream has no such route: a 502 would be its own.
  "POST /v1/rerank": { body: { model: "no-such-model", query: "q", documents: ["a", "b"], top_n: 1 } },
  "POST /v1/images/generations": { body: { model, prompt: "a cat", n: 1, size: "1024x1024" } },
  "POST /v1/images/edits": { headers: form },
  "POST /v1/audio/speech": { body: { model, input: "hi", voice: "alloy" } },
  "POST /v1/audio/transcriptions": { headers: form },
  "POST /v1/audio/translations": { headers: form },
  "GET /v1/models": {},
  "GET /v1/models/": {},
  "GET /v1/key": {},
  "GET /v1/credits": {},
  "GET /v1/generation": {},
};

const formBodies: readonly string[] = [
  "--abuse--\r\n",
  "--abuse\r\n\r\nx\r\n--abuse--\r\n",
  '--abuse\r\nContent-Disposition: form-data; name="model"\r\n\r\ndemo-small\r\n--abuse--\r\n',
  '--abuse\r\nContent-Disposition: form-data; name="__proto__"\r\n\r\nx\r\n--abuse--\r\n',
  '--abuse\r\nContent-Disposition: form-data; name="file"; filename="../../etc/passwd"\r\nContent-Type: audio/wav\r\n\r\nRIFF\r\n--abuse--\r\n',
  '--abuse\r\nContent-Disposition: form-data; name="model"\r\n\r\ndemo-small\r\n--abuse\r\nContent-Disposition: form-data; name="file"; filename="a.wav"\r\n\r\nRIFF0000WAVE\r\n--abuse--\r\n',
  `--abuse\r\n${"X-A: b\r\n".repeat(2_000)}\r\n\r\n--abuse--\r\n`,
];

function asksOf(name: string, good: Form): fc.Arbitrary<Ask> {
  const [method = "GET", path = ""] = name.split(" ");
  const headers = good.headers ?? {};
  const search = fc.tuple(fc.constantFrom("id", "limit", "after_id", "x"), hostileText).map(([key, text]) => {
    const value = encodeURIComponent(text.toWellFormed().slice(0, 500));
    return path.endsWith("/") ? `${path}${value}` : `${path}?${key}=${value}`;
  });
  if (method === "GET") return search.map((whole) => ({ method, path: whole, headers }));
  const raw = fc.constantFrom(...rawBodies, ...formBodies);
  const bodies: fc.Arbitrary<string | Uint8Array> =
    good.body === undefined
      ? raw
      : fc.oneof(
          { weight: 4, arbitrary: mutation.map((change) => mutated(good.body, change)) },
          { weight: 1, arbitrary: raw },
        );
  return bodies.map((body) => ({ method, path, headers, body }));
}

export async function fuzzV1(
  world: World,
  { seed, cases }: SuiteOptions,
  secrets: readonly string[],
): Promise<readonly Outcome[]> {
  const owner = await world.customer();
  await world.fund(owner);
  const { secret } = await owner.must(keyCreated, "POST", "/api/keys", { name: "fuzz" });
  const insides = new Tally("SEC-09 /v1: no 500, and nothing of our insides in any answer");
  const errors = new Tally("SEC-09 /v1: every refusal has the form of its dialect");
  for (const [index, { method, path }] of v1Routes.entries()) {
    const name = `${method} ${path}`;
    const good = goods[name];
    insides.check(good !== undefined, () => `${name}: no good body; add one to fuzz-v1.ts`);
    if (!good) continue;
    const asks = fc.sample(asksOf(name, good), { seed: seed + index, numRuns: cases });
    await each(asks, 8, async (ask) => {
      const answer = await send(world.pool, { ...ask, headers: { ...ask.headers, authorization: `Bearer ${secret}` } });
      const text = typeof ask.body === "string" ? ask.body : ask.body && Buffer.from(ask.body).toString("hex");
      const said = (what: string): string =>
        `${what}: ${name} ${ask.path.slice(0, 200)} ${JSON.stringify(text?.slice(0, 300))} answered ${String(answer.status)} ${answer.text.slice(0, 300)}`;
      insides.check(answer.status < 500, () => said("5xx"));
      const leak = leakIn(answer, [...secrets, secret]);
      insides.check(leak === undefined, () => said(leak ?? ""));
      const wrong = apiErrorFormOf(answer);
      errors.check(wrong === undefined, () => said(wrong ?? ""));
    });
  }
  return [insides.outcome(`${String(v1Routes.length)} routes`), errors.outcome()];
}
