import type { ResultContent, TextPart } from "./parts.ts";

/**
 * Chat and responses have no field for a tool that failed; a result that begins with this line says it, both ways.
 * A tool whose own text begins so has failed in its own words.
 */
const errorLine = "Tool error:\n";

export function readToolError<Part extends ResultContent>(
  content: readonly Part[],
): { isError: boolean; content: readonly Part[] } {
  const [first, ...rest] = content;
  if (first?.type !== "text" || !first.text.startsWith(errorLine)) return { isError: false, content };
  const text = first.text.slice(errorLine.length);
  return { isError: true, content: text === "" ? rest : [{ ...first, text }, ...rest] };
}

export function writeToolError(isError: boolean, texts: readonly TextPart[]): readonly TextPart[] {
  if (!isError) return texts;
  const [first, ...rest] = texts;
  return [{ ...first, type: "text", text: errorLine + (first?.text ?? "") }, ...rest];
}
