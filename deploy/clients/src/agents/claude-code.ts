import { z } from "zod";
import { jsonLines, scriptedPrompt, type Agent, type Invocation, type TaskPlace } from "../agent.ts";

/** Anthropic's Claude Code, `claude -p`, with its Bash tool allowed. */

const platform = `${process.platform}-${process.arch}`;

function invocation(place: TaskPlace, model: readonly string[], credential: Invocation["env"]): Invocation {
  const input = JSON.stringify({ command: place.command, description: "Write a file" });
  return {
    args: ["-p", "--output-format", "json", "--allowedTools", "Bash", ...model],
    env: {
      ANTHROPIC_BASE_URL: place.gatewayUrl,
      // No telemetry, updates or error reports: what it does outside of the API is no part of the test.
      CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC: "1",
      // Its default would go on for minutes when something is wrong.
      CLAUDE_CODE_MAX_RETRIES: "2",
      ...credential,
    },
    stdin: scriptedPrompt("Bash", input),
    files: {},
  };
}

const outcome = z.looseObject({ type: z.literal("result"), is_error: z.literal(false), result: z.string() });

export const claudeCode: Agent = {
  name: "claude-code",
  packageName: "@anthropic-ai/claude-code",
  programs: ["", "-musl"].map((libc) => `@anthropic-ai/claude-code-${platform}${libc}/claude`),
  tasks: [
    {
      // The name must exist at a gateway when nobody says --model.
      name: "API key, its own choice of model",
      model: "claude-opus-5-5",
      route: "/v1/messages",
      invoke: (place) => invocation(place, [], { ANTHROPIC_API_KEY: place.apiKey }),
    },
    {
      name: "bearer token, a model that it does not know",
      model: "demo-tools",
      route: "/v1/messages",
      invoke: (place) => invocation(place, ["--model", "demo-tools"], { ANTHROPIC_AUTH_TOKEN: place.apiKey }),
    },
  ],
  answer: (stdout) =>
    jsonLines(stdout)
      .flatMap((line) => {
        const parsed = outcome.safeParse(line);
        return parsed.success ? [parsed.data.result] : [];
      })
      .at(-1),
};
