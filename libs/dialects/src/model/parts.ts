/**
 * The pieces a conversation is made of, in every dialect's terms at once.
 *
 * Glossary
 *   part       one piece of a turn
 *   at         where the piece stood in the client's body, so that a refusal on the way out can still name it
 *   seal       opaque text by which a provider recognises its own reasoning: a signature, or the encrypted reasoning itself
 *   custom     a tool that takes free text in place of JSON arguments (OpenAI's `custom` tools)
 *   namespace  the group a tool belongs to in responses; other dialects have one flat list of names
 */

interface Located {
  readonly at?: string;
}

/** How long a provider is asked to keep the prompt up to here (messages `cache_control`). */
export type CacheLifetime = "5m" | "1h";

export interface TextPart extends Located {
  readonly type: "text";
  readonly text: string;
  readonly cache?: CacheLifetime;
}

export type MediaSource =
  | { readonly kind: "url"; readonly url: string }
  | { readonly kind: "base64"; readonly mediaType: string; readonly data: string };

export interface ImagePart extends Located {
  readonly type: "image";
  readonly source: MediaSource;
  readonly detail?: "low" | "high" | "auto" | "original";
  readonly cache?: CacheLifetime;
}

export interface DocumentPart extends Located {
  readonly type: "document";
  readonly source: MediaSource | { readonly kind: "text"; readonly text: string };
  readonly filename?: string;
  readonly cache?: CacheLifetime;
}

export interface AudioPart extends Located {
  readonly type: "audio";
  readonly mediaType: string;
  readonly data: string;
}

export interface ReasoningPart extends Located {
  readonly type: "reasoning";
  /** Empty when the provider shows none. */
  readonly text: string;
  readonly seal?: string;
  /** True when the seal is the reasoning itself, hidden by the provider (messages `redacted_thinking`). */
  readonly redacted: boolean;
}

/** The model's own words for declining. */
export interface RefusalPart extends Located {
  readonly type: "refusal";
  readonly text: string;
}

export interface ToolCallPart extends Located {
  readonly type: "tool_call";
  readonly id: string;
  readonly name: string;
  readonly namespace?: string;
  readonly custom: boolean;
  /** JSON text as the model wrote it, which need not be valid; the free text of a custom tool. */
  readonly arguments: string;
  readonly cache?: CacheLifetime;
}

export type ResultContent = TextPart | ImagePart | DocumentPart;

export interface ToolResultPart extends Located {
  readonly type: "tool_result";
  readonly callId: string;
  readonly isError: boolean;
  readonly content: readonly ResultContent[];
  readonly cache?: CacheLifetime;
}

export type UserPart = TextPart | ImagePart | DocumentPart | AudioPart | ToolResultPart;
export type AssistantPart = ReasoningPart | TextPart | RefusalPart | ToolCallPart;

export interface SystemTurn extends Located {
  readonly role: "system";
  /** Chat and responses tell the two apart; the others have only `system`, which ranks the same. */
  readonly authority: "system" | "developer";
  readonly parts: readonly TextPart[];
}

export interface UserTurn extends Located {
  readonly role: "user";
  readonly parts: readonly UserPart[];
}

export interface AssistantTurn extends Located {
  readonly role: "assistant";
  readonly parts: readonly AssistantPart[];
}

export type Turn = SystemTurn | UserTurn | AssistantTurn;

/**
 * Joins neighbours of the same role: chat and responses spread one turn over several items, the others do not, and all
 * providers read neighbours as one turn.
 */
export function joinTurns(turns: readonly Turn[]): Turn[] {
  const joined: Turn[] = [];
  for (const turn of turns) {
    const last = joined.at(-1);
    const both = last === undefined ? undefined : joinTwo(last, turn);
    if (both === undefined) joined.push(turn);
    else joined[joined.length - 1] = both;
  }
  return joined.filter(({ parts }) => parts.length > 0);
}

function joinTwo(first: Turn, second: Turn): Turn | undefined {
  if (first.role === "user" && second.role === "user") return { ...first, parts: [...first.parts, ...second.parts] };
  if (first.role === "assistant" && second.role === "assistant") {
    return { ...first, parts: [...first.parts, ...second.parts] };
  }
  if (first.role === "system" && second.role === "system" && first.authority === second.authority) {
    return { ...first, parts: [...first.parts, ...second.parts] };
  }
  return undefined;
}

/** The calls of a conversation by their id: results name only the id, and some dialects ask for more. */
export function callsById(turns: readonly Turn[]): ReadonlyMap<string, ToolCallPart> {
  const calls = new Map<string, ToolCallPart>();
  for (const turn of turns) {
    if (turn.role !== "assistant") continue;
    for (const part of turn.parts) if (part.type === "tool_call") calls.set(part.id, part);
  }
  return calls;
}
