import { asOperator, channelBody, send, startWorld, type World } from "../../services/gateway-proxy/tests/_world.ts";
import { Payers, toldApart, type Payer } from "./_payer.ts";

/**
 * A gateway in front of the demo upstream, as its own tests start it, for the vendors' own packages: what they send and what
 * they make of our answers is the test.
 */
export interface SdkWorld extends World {
  /** A customer of its own for one test; 100,000 tokens of balance unless told. */
  payer(balanceMicroTokens?: bigint): Payer;
  /** Also checks that no payer was charged more than its test has named. */
  stop(): Promise<void>;
}

/** Every model that the suites ask for. */
const models = [
  "demo-large",
  "demo-tools",
  "demo-reasoning",
  "demo-claude",
  "demo-silence-6",
  "demo-midstream-cut-6",
  "demo-embedding",
  "demo-image",
  "demo-moderation",
  "demo-speech",
  "demo-transcribe",
  "demo-error-429-1",
];

/** Kinds that do not speak the dialect of at least one of the packages; each has the models `<kind> demo-…`. */
export const otherKinds = ["anthropic", "openai", "openai-compatible"] as const;
const convertedModels = ["demo-large", "demo-tools", "demo-reasoning", "demo-midstream-cut-6"];

export async function startSdkWorld(): Promise<SdkWorld> {
  const named = (kind: string): readonly string[] => convertedModels.map((model) => `${kind} ${model}`);
  const world = await startWorld({}, models.map(toldApart), otherKinds.flatMap(named).map(toldApart));
  for (const kind of otherKinds) {
    const body = { ...channelBody(kind, world.upstream, []), kind, egress: "private" };
    const created = await send(world.gateway, "POST", "/api/gateway/channels", {
      headers: asOperator(world.auth),
      body: { ...body, models: Object.fromEntries(convertedModels.map((model) => [`${kind} ${model}`, model])) },
    });
    if (created.status !== 201) throw new Error(created.text);
  }
  const payers = new Payers(world);
  return {
    ...world,
    payer: (balanceMicroTokens = 100_000_000_000n) => payers.open(balanceMicroTokens),
    async stop() {
      try {
        payers.expectNothingMore();
      } finally {
        await world.stop();
      }
    },
  };
}

/** One red pixel. */
export const pixel = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8BQDwAEhQGAhKmMIQAAAABJRU5ErkJggg==";
