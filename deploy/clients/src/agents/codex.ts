import path from "node:path";
import { z } from "zod";
import { jsonLines, scriptedPrompt, type Agent, type Invocation, type TaskPlace } from "../agent.ts";

/**
 * OpenAI's Codex, `codex exec`. Its own sandbox is off, because it needs rights that containers do not give; the only command it
 * runs is the one in the prompt, in an empty folder.
 */

const platform = `${process.platform}-${process.arch}`;
const triples: Readonly<Record<string, string>> = {
  "linux-x64": "x86_64-unknown-linux-musl",
  "linux-arm64": "aarch64-unknown-linux-musl",
  "darwin-x64": "x86_64-apple-darwin",
  "darwin-arm64": "aarch64-apple-darwin",
};

const quiet = ["check_for_update_on_startup = false", "[analytics]", "enabled = false"];

function invocation(
  { home }: TaskPlace,
  model: string,
  prompt: string,
  config: readonly string[],
  env: Invocation["env"],
) {
  return {
    args: [
      "exec",
      "--model",
      model,
      "--skip-git-repo-check",
      "--json",
      "--ephemeral",
      "--dangerously-bypass-approvals-and-sandbox",
      "-",
    ],
    env: { CODEX_HOME: path.join(home, ".codex"), ...env },
    stdin: prompt,
    files: { [path.join(home, ".codex/config.toml")]: `${config.join("\n")}\n` },
  };
}

const item = z.looseObject({
  type: z.literal("item.completed"),
  item: z.looseObject({ type: z.literal("agent_message"), text: z.string() }),
});

export const codex: Agent = {
  name: "codex",
  packageName: "@openai/codex",
  programs: [`@openai/codex-${platform}/vendor/${triples[platform] ?? platform}/bin/codex`],
  tasks: [
    {
      // Function tools at the top of the request, and the provider that users add for a gateway.
      name: "own provider, a model that it does not know",
      model: "demo-tools",
      route: "/v1/responses",
      invoke: (place) =>
        invocation(
          place,
          "demo-tools",
          scriptedPrompt("exec_command", JSON.stringify({ cmd: place.command })),
          [
            'model_provider = "gateway"',
            ...quiet,
            "[model_providers.gateway]",
            'name = "gateway"',
            `base_url = "${place.gatewayUrl}/v1"`,
            'env_key = "GATEWAY_KEY"',
            'wire_api = "responses"',
          ],
          { GATEWAY_KEY: place.apiKey },
        ),
    },
    {
      // No tools at the top: a custom tool in a namespace in an input item, which takes JavaScript; and a WebSocket is tried first.
      name: "built-in provider, a model that it knows",
      model: "gpt-6.1-sol",
      route: "/v1/responses",
      invoke: (place) => {
        const script = `const r = await tools.exec_command({cmd: ${JSON.stringify(place.command)}}); text(r.output);`;
        const config = [`openai_base_url = "${place.gatewayUrl}/v1"`, ...quiet];
        return invocation(place, "gpt-6.1-sol", scriptedPrompt("exec", script), config, {
          CODEX_API_KEY: place.apiKey,
        });
      },
    },
  ],
  answer(stdout) {
    const lines = jsonLines(stdout);
    if (!lines.some(({ type }) => type === "turn.completed")) return undefined;
    const messages = lines.flatMap((line) => {
      const parsed = item.safeParse(line);
      return parsed.success ? [parsed.data.item.text] : [];
    });
    return messages.at(-1);
  },
};
