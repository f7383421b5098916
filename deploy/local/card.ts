import type { CardFacts } from "./protocol.ts";

/** What the second start adds: "up 3 h, 2 services restarted". */
export interface CardAges {
  readonly up: string;
  readonly restarts: number;
}

interface Section {
  readonly title: string;
  readonly lines: readonly string[];
}

const minimumWidth = 72;

/** The card at the end of a start. Only links and commands that work today; neither passwords nor the key. */
export function renderCard(facts: CardFacts, ages?: CardAges): readonly string[] {
  const sections = sectionsOf(facts);
  const width = Math.max(minimumWidth, ...sections.flatMap(({ lines }) => lines.map((line) => letters(line) + 2)));
  const box = sections.flatMap(({ title, lines }, index) => [
    rule(index === 0 ? "╭" : "├", index === 0 ? "╮" : "┤", title, width),
    ...lines.map((line) => `│ ${line}${" ".repeat(width - letters(line) - 1)}│`),
  ]);
  // Outside of the box, or its edges would be copied along with the command.
  const curl = ["Try it, in this folder:", "", ...curlLines(facts.apiUrl), ""];
  return [...box, `╰${"─".repeat(width)}╯`, ...curl, footer(facts, ages)];
}

function sectionsOf(facts: CardFacts): readonly Section[] {
  const { firstRequest: first } = facts;
  return [
    {
      title: "Open",
      lines: [
        `Dashboard   ${facts.dashboardUrl}`,
        `API         ${facts.apiUrl}`,
        `Gateway     ${facts.gatewayUrl}/v1  (without the edge)`,
        `Mails       ${facts.dashboardUrl}/mailbox`,
      ],
    },
    {
      title: "Sign in",
      lines: [
        `user        ${facts.userEmail}`,
        `operator    ${facts.operatorEmail}   its second factor: npm run code`,
        "passwords   in .codex/run.json, for example:",
        `            node -p "require('./.codex/run.json').user.password"`,
      ],
    },
    { title: "Key", lines: [`${facts.keyPrefix}…  the whole key is in .codex/run.json`] },
    {
      title: "First billed request",
      lines: [
        `${first.model}: ${String(first.inputTokens)} in + ${String(first.outputTokens)} out   ${first.requestId}`,
        `balance     ${first.before} − ${first.charged} = ${first.after} tokens`,
      ],
    },
    {
      title: "Next",
      lines: [
        "stop        npm stop            what runs   npm run status",
        "wipe        npm run reset       commands    npm run help",
      ],
    },
  ];
}

/** Works when pasted: the key is read from the file by the shell, so it is neither on the screen nor in the shell's history. */
export function curlLines(apiUrl: string): readonly string[] {
  const body = JSON.stringify({ model: "demo-small", stream: true, messages: [{ role: "user", content: "hi" }] });
  return [
    `curl -N ${apiUrl}/chat/completions \\`,
    `  -H "Authorization: Bearer $(node -p "require('./.codex/run.json').apiKey")" \\`,
    "  -H 'content-type: application/json' \\",
    `  -d '${body}'`,
  ];
}

function footer(facts: CardFacts, ages: CardAges | undefined): string {
  if (ages === undefined)
    return `ready in ${String(Math.round(facts.readyInMs / 1000))} s; the money is play money, this profile is for this machine only`;
  const restarted =
    ages.restarts === 0 ? "" : `, ${String(ages.restarts)} service ${ages.restarts === 1 ? "restart" : "restarts"}`;
  return `already running: up ${ages.up}${restarted}`;
}

function rule(left: string, right: string, title: string, width: number): string {
  const start = `─ ${title} `;
  return `${left}${start}${"─".repeat(width - letters(start))}${right}`;
}

/** Width in a terminal, for the letters that we print: one column a code point. */
function letters(text: string): number {
  return [...text].length;
}
