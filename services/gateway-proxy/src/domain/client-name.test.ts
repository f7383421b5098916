import { expect, test } from "@jest/globals";
import { clientNameOf } from "./client-name.ts";

test.each([
  ["codex_cli_rs/0.63.0 (Debian 12.0; x86_64) xterm", "codex"],
  ["codex-tui/0.80.1", "codex"],
  ["claude-cli/2.0.50 (external, cli)", "claude-code"],
  ["opencode/1.0.3 ai-sdk/provider-utils/4.0.0 runtime/bun/1.3.0", "opencode"],
  ["ai-sdk/openai-compatible/2.0.0 runtime/node.js/26", "ai-sdk"],
  ["ai/5.0.1 ai-sdk/provider-utils/4.0.0", "ai-sdk"],
  ["langchainjs-openai/1.0.0", "other"],
  ["LangChain/0.3", "langchain"],
  ["OpenAI/Python 2.8.0", "openai-python"],
  ["AsyncOpenAI/Python 2.8.0", "openai-python"],
  ["OpenAI/JS 6.9.1", "openai-node"],
  ["Anthropic/Python 0.75.0", "anthropic-python"],
  ["Anthropic/JS 0.71.0", "anthropic-node"],
  ["curl/8.5.0", "curl"],
  ["Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36", "browser"],
  ["me@example.com from Berlin", "other"],
  [undefined, "other"],
  ["", "other"],
  [`${" ".repeat(100_000)}codex`, "other"],
])("%p is %s", (userAgent, client) => {
  expect(clientNameOf(userAgent)).toBe(client);
});
