import type { SupervisorMessage } from "./protocol.ts";
import { renderCard } from "./card.ts";

export interface RenderOptions {
  readonly colour: boolean;
  /** A "begin" line may be overwritten by the line that follows: terminals only. */
  readonly replace: boolean;
}

const stepWidth = 13;
const detailWidth = 72;

/** The lines of one message. The step line is the one of the first-run design: mark, name, detail, seconds. */
export function renderMessage(message: SupervisorMessage, options: RenderOptions): readonly string[] {
  switch (message.kind) {
    case "begin":
      return options.replace ? [`  … ${message.step}`] : [];
    case "done":
      return [
        stepLine(paint("✔", 32, options), message.step, message.detail, message.ms),
        ...message.extra.map((line) => `      ${line}`),
      ];
    case "failed":
      return [
        `  ${paint("✖", 31, options)} ${message.step}`,
        "",
        ...message.lines.map((line) => `  ${line}`.trimEnd()),
        "",
      ];
    case "note":
      return [`  ${paint("!", 33, options)} ${message.text}`];
    case "ready":
      return ["", ...renderCard(message.card)];
    case "refused":
    case "stopped":
      return [];
  }
}

function stepLine(mark: string, step: string, detail: string, ms: number): string {
  return `  ${mark} ${step.padEnd(stepWidth)} ${detail.padEnd(detailWidth)} ${formatSeconds(ms).padStart(7)}`;
}

function paint(text: string, code: number, options: RenderOptions): string {
  return options.colour ? `\u001b[${String(code)}m${text}\u001b[0m` : text;
}

function formatSeconds(ms: number): string {
  return `${(ms / 1000).toFixed(1)} s`;
}

/** "3 h 12 min", "45 s": the two largest units. */
export function formatAge(ms: number): string {
  const total = Math.max(0, Math.floor(ms / 1000));
  const days = Math.floor(total / 86_400);
  const hours = Math.floor(total / 3_600) % 24;
  const minutes = Math.floor(total / 60) % 60;
  if (days > 0) return `${String(days)} d ${String(hours)} h`;
  if (hours > 0) return `${String(hours)} h ${String(minutes)} min`;
  if (minutes > 0) return `${String(minutes)} min ${String(total % 60)} s`;
  return `${String(total)} s`;
}
