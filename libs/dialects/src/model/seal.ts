import { joinTurns, type AssistantPart, type ReasoningPart, type Turn } from "./parts.ts";

/**
 * Messages tells a signature (of reasoning that is shown) from redacted reasoning; the others have one opaque field for
 * both. The mark keeps the difference while a conversation passes through one of them; the text itself is never read.
 */
const redactedMark = "redacted_thinking:";

export function sealToOpaque(part: { readonly seal?: string; readonly redacted: boolean }): string | undefined {
  return part.redacted && part.seal !== undefined ? redactedMark + part.seal : part.seal;
}

export function reasoningFromOpaque(text: string, opaque: string | undefined, at?: string): ReasoningPart {
  const redacted = text === "" && opaque?.startsWith(redactedMark) === true;
  return {
    type: "reasoning",
    text,
    redacted,
    ...(opaque === undefined ? {} : { seal: redacted ? opaque.slice(redactedMark.length) : opaque }),
    ...(at === undefined ? {} : { at }),
  };
}

/** Gemini puts the seal on the part that follows the reasoning: a seal alone joins the unsealed reasoning before it. */
export function joinSeals(parts: readonly AssistantPart[]): AssistantPart[] {
  const joined: AssistantPart[] = [];
  for (const part of parts) {
    const last = joined.at(-1);
    const sealAlone = part.type === "reasoning" && part.text === "" && part.seal !== undefined && !part.redacted;
    if (sealAlone && last?.type === "reasoning" && last.seal === undefined) {
      joined[joined.length - 1] = { ...last, seal: part.seal };
    } else joined.push(part);
  }
  return joined;
}

/** {@link joinTurns} for dialects whose seals may stand apart from their reasoning, even in another message. */
export function joinSealedTurns(turns: readonly Turn[]): Turn[] {
  return joinTurns(turns).map((turn) => (turn.role === "assistant" ? { ...turn, parts: joinSeals(turn.parts) } : turn));
}
