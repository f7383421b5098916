import { hash32 } from "./rendezvous.ts";

/**
 * Which requests belong together, so that they meet the same channel and key and the upstream's prompt cache is warm: by what
 * the client says of it, else by the beginning of the conversation, which is what a prompt cache goes by.
 */

/** Characters of the beginning that are looked at. Prompt caches begin at about a thousand tokens; instructions differ earlier. */
const prefixLengthMax = 2_048;
const hintLengthMax = 512;

/**
 * `scope` is the API key's id: two customers never share a session. Order: `prompt_cache_key`, `user` or
 * `safety_identifier`, `metadata.user_id`, then the beginning.
 */
export function affinityOf(scope: string, body: Readonly<Record<string, unknown>>): number {
  const seed = hash32(scope);
  const hint = hintOf(body);
  return hint === undefined ? hash32(beginningOf(body), seed) : hash32(hint, seed);
}

function hintOf(body: Readonly<Record<string, unknown>>): string | undefined {
  const metadata = body["metadata"];
  const userId = isObject(metadata) ? metadata["user_id"] : undefined;
  for (const hint of [body["prompt_cache_key"], body["user"], body["safety_identifier"], userId]) {
    if (typeof hint === "string" && hint !== "") return hint.slice(0, hintLengthMax);
  }
  return undefined;
}

function beginningOf(body: Readonly<Record<string, unknown>>): string {
  let text = typeof body["model"] === "string" ? body["model"] : "";
  for (const name of ["system", "instructions"]) text = append(text, body[name], 0);
  for (const name of ["messages", "input", "contents"]) text = appendOpening(text, body[name]);
  return text;
}

/** Up to the first word of the user: what follows grows with each turn, and the session must not move with it. */
function appendOpening(text: string, turns: unknown): string {
  if (!Array.isArray(turns)) return append(text, turns, 0);
  let all = text;
  for (const turn of turns as unknown[]) {
    all = append(all, turn, 0);
    if (all.length >= prefixLengthMax || (isObject(turn) && turn["role"] === "user")) break;
  }
  return all;
}

const depthMax = 6;

function append(text: string, value: unknown, depth: number): string {
  if (text.length >= prefixLengthMax || depth > depthMax) return text;
  if (typeof value === "string") return text + value.slice(0, prefixLengthMax - text.length);
  if (Array.isArray(value)) {
    let all = text;
    for (const item of value as unknown[]) {
      all = append(all, item, depth + 1);
      if (all.length >= prefixLengthMax) break;
    }
    return all;
  }
  return isObject(value) ? append(append(text, value["content"], depth + 1), value["text"], depth + 1) : text;
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
