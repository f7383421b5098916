import type { Channel, ChannelHealth } from "@codex/contracts";
import { eventually, leakCheck } from "@codex/testkit";
import { afterAll, afterEach, beforeAll } from "@jest/globals";
import { ScriptedUpstream } from "./_scripted-upstream.ts";
import { asOperator, chat, send, startWorld, type Answer, type World } from "./_world.ts";

/** Channels as customers meet them: each test has a model and channels of its own. */

export const path = "/api/gateway/channels";

/** A world for one test file; registers its beginning and its end. */
export class ChannelWorld {
  private readonly models = Array.from({ length: 40 }, (_, index) => `model-${String(index)}`);
  private readonly upstreams: ScriptedUpstream[] = [];
  private started: World | undefined;
  private nextModel = 0;

  constructor() {
    const leaks = leakCheck();
    beforeAll(async () => {
      this.started = await startWorld(
        { GATEWAY_REQUESTS_PER_MINUTE: "100000", GATEWAY_ACCOUNT_REQUESTS_PER_MINUTE: "100000" },
        [],
        this.models,
      );
    }, 60_000);
    afterEach(async () => {
      for (const upstream of this.upstreams.splice(0)) await upstream.close();
    });
    afterAll(async () => {
      await this.started?.stop();
      await leaks.assertClean();
    }, 30_000);
  }

  get world(): World {
    if (!this.started) throw new Error("the world begins with the tests");
    return this.started;
  }

  readonly upstream = async (): Promise<ScriptedUpstream> => {
    const made = await ScriptedUpstream.start();
    this.upstreams.push(made);
    return made;
  };

  readonly operate = (method: string, at: string, body?: unknown): Promise<Answer> =>
    send(this.world.gateway, method, at, {
      headers: asOperator(this.world.auth),
      ...(body === undefined ? {} : { body }),
    });

  /** A model nobody else uses, and how a customer asks for it. */
  readonly freshModel = () => {
    const model = this.models[this.nextModel] ?? "";
    this.nextModel += 1;
    const { apiKey, accountId } = this.world.customer(10n ** 12n);
    const ask = (more: Readonly<Record<string, unknown>> = {}, gateway = this.world.gateway): Promise<Answer> =>
      chat(gateway, apiKey, { model, ...more });
    return { model, ask, accountId };
  };

  readonly connect = async (
    model: string,
    to: ScriptedUpstream,
    more: Readonly<Record<string, unknown>> = {},
  ): Promise<Channel> => {
    const name = `${model}-${String(Math.random()).slice(2, 10)}`;
    const body = {
      name,
      kind: "openai-compatible",
      egress: "private",
      baseUrl: to.url,
      models: { [model]: "up" },
      ...more,
    };
    const made = await this.operate("POST", path, body);
    if (made.status !== 201) throw new Error(made.text);
    return made.body["channel"] as Channel;
  };

  readonly change = async (channel: Channel, settings: Readonly<Record<string, unknown>>): Promise<Channel> => {
    const at = `${path}/${channel.channelId}`;
    const changed = await this.operate("PATCH", at, { version: channel.version, ...settings });
    if (changed.status !== 200) throw new Error(changed.text);
    return changed.body["channel"] as Channel;
  };

  readonly health = async (channel: Channel): Promise<ChannelHealth> =>
    (await this.operate("GET", `${path}/${channel.channelId}/health`)).body as unknown as ChannelHealth;
}

export const live = (work: () => Promise<boolean>, what: string, timeoutMs = 3_000): Promise<unknown> =>
  eventually(work, { timeoutMs, what });
export const answered = (ask: () => Promise<Answer>): Promise<unknown> =>
  live(async () => (await ask()).status === 200, "the channel to be live");
