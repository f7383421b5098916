import path from "node:path";
import { z } from "zod";
import { jsonLines, scriptedPrompt, type Agent, type Task } from "../agent.ts";

/** opencode, `opencode run`: one agent with three dialects, by the AI SDK's provider that is named in its settings. */

const platform = `${process.platform}-${process.arch}`;

function task(npm: string, route: Task["route"]): Task {
  return {
    name: npm,
    model: "demo-tools",
    route,
    invoke(place) {
      const settings = {
        provider: {
          gateway: {
            npm,
            name: "gateway",
            options: { baseURL: `${place.gatewayUrl}/v1`, apiKey: place.apiKey },
            models: { "demo-tools": { name: "Demo" } },
          },
        },
        permission: { bash: "allow" },
        autoupdate: false,
        share: "disabled",
      };
      return {
        args: ["run", "--pure", "--format", "json", "--model", "gateway/demo-tools"],
        env: {
          OPENCODE_DISABLE_AUTOUPDATE: "1",
          OPENCODE_DISABLE_DEFAULT_PLUGINS: "1",
          OPENCODE_DISABLE_MODELS_FETCH: "1",
          OPENCODE_DISABLE_LSP_DOWNLOAD: "1",
        },
        stdin: scriptedPrompt("bash", JSON.stringify({ command: place.command, description: "Write a file" })),
        files: { [path.join(place.work, "opencode.json")]: JSON.stringify(settings) },
      };
    },
  };
}

const spoken = z.looseObject({ type: z.literal("text"), part: z.looseObject({ text: z.string() }) });

export const opencode: Agent = {
  name: "opencode",
  packageName: "opencode-linux-x64",
  programs: [`opencode-${platform}/bin/opencode`],
  tasks: [
    task("@ai-sdk/openai-compatible", "/v1/chat/completions"),
    task("@ai-sdk/openai", "/v1/responses"),
    task("@ai-sdk/anthropic", "/v1/messages"),
  ],
  answer: (stdout) =>
    jsonLines(stdout)
      .flatMap((line) => {
        const parsed = spoken.safeParse(line);
        return parsed.success ? [parsed.data.part.text] : [];
      })
      .at(-1),
};
