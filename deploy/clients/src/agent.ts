/**
 * Glossary
 *   agent   a program that works with tools on a model's word: Codex, Claude Code, opencode
 *   task    one run of an agent without anybody at the keyboard: it must run a command and say what came out
 *   proof   a word that the command writes into a file and answers in capitals; only who ran it can know those
 */

/** What a task is run with. */
export interface TaskPlace {
  /** Path of the installed program. */
  readonly program: string;
  /** Empty, the agent's home. */
  readonly home: string;
  /** Empty, where it works. */
  readonly work: string;
  /** Origin of the gateway; its API is below /v1. */
  readonly gatewayUrl: string;
  readonly apiKey: string;
  /** The POSIX shell command that the model asks for. */
  readonly command: string;
}

export interface Invocation {
  readonly args: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  readonly stdin: string;
  /** Absolute path → text, written before the start. */
  readonly files: Readonly<Record<string, string>>;
}

export interface Task {
  readonly name: string;
  /** Name at the gateway; an agent behaves otherwise for names that it knows. */
  readonly model: string;
  /** What every charged request of it must ask. */
  readonly route: "/v1/chat/completions" | "/v1/messages" | "/v1/responses";
  invoke(place: TaskPlace): Invocation;
}

export interface Agent {
  readonly name: "claude-code" | "codex" | "opencode";
  /** The npm package whose version is told. */
  readonly packageName: string;
  /** Candidates below node_modules, best first; the first that is there is run. */
  readonly programs: readonly string[];
  readonly tasks: readonly Task[];
  /** The final answer in what it printed; undefined when it says that it failed, or nothing. */
  answer(stdout: string): string | undefined;
}

/** A line that the demo upstream's `demo-tools` takes as its script (deploy/demo-upstream/README.md). */
export function scriptedPrompt(tool: string, input: string): string {
  return `Run the command and say what it printed.\n!call ${tool} ${input}\n`;
}

/** The values of lines that are JSON objects; agents print other lines between them. */
export function jsonLines(stdout: string): readonly Readonly<Record<string, unknown>>[] {
  return stdout.split("\n").flatMap((line) => {
    if (!line.startsWith("{")) return [];
    try {
      return [JSON.parse(line) as Readonly<Record<string, unknown>>];
    } catch {
      return [];
    }
  });
}
