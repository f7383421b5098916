import { appError, InvalidRequestError } from "./error-catalogue.ts";

/** Bounds of SEC-86. Real bodies of the control plane are nested five deep and have some dozens of keys. */
export const jsonDepthMax = 64;
export const jsonKeysMax = 10_000;

/** Keys that reach a prototype when code merges objects carelessly (SEC-111). No body of ours has them. */
const refusedKeys: ReadonlySet<string> = new Set(["__proto__", "constructor", "prototype"]);

interface Node {
  readonly value: unknown;
  readonly key: string;
  readonly parent: Node | undefined;
  readonly depth: number;
}

/** RFC 6901 §3. */
export function pointerOf(path: readonly PropertyKey[]): string {
  return path.map((part) => `/${String(part).replaceAll("~", "~0").replaceAll("/", "~1")}`).join("");
}

function pointerTo(node: Node): string {
  const path: string[] = [];
  for (let at = node; at.parent !== undefined; at = at.parent) path.unshift(at.key);
  return pointerOf(path);
}

function refuse(node: Node, message: string): never {
  throw new InvalidRequestError([{ pointer: pointerTo(node).slice(0, 256), message }]);
}

/** A lone surrogate cannot be written as UTF-8, and Postgres has no text with a NUL: both would fail far from here. */
function isStorableText(text: string): boolean {
  return text.isWellFormed() && !text.includes("\u0000");
}

function checkLeaf(node: Node): void {
  if (typeof node.value === "string" && !isStorableText(node.value))
    refuse(node, "holds characters that cannot be stored");
  if (typeof node.value === "number" && !Number.isFinite(node.value)) refuse(node, "is not a finite number");
}

/** Walks with an explicit stack, because a recursive walk is itself what a deep document attacks. */
function checkTree(root: unknown): void {
  const stack: Node[] = [{ value: root, key: "", parent: undefined, depth: 0 }];
  let keys = 0;
  for (let node = stack.pop(); node !== undefined; node = stack.pop()) {
    if (typeof node.value !== "object" || node.value === null) {
      checkLeaf(node);
      continue;
    }
    if (node.depth >= jsonDepthMax) throw malformed(`The body is nested deeper than ${String(jsonDepthMax)} levels.`);
    const isArray = Array.isArray(node.value);
    for (const [key, value] of Object.entries(node.value)) {
      const child: Node = { value, key, parent: node, depth: node.depth + 1 };
      if (!isArray) {
        keys += 1;
        if (keys > jsonKeysMax) throw malformed(`The body has more than ${String(jsonKeysMax)} keys.`);
        if (refusedKeys.has(key)) refuse(child, "unknown field");
        if (!isStorableText(key)) refuse(child, "holds characters that cannot be stored");
      }
      stack.push(child);
    }
  }
}

function malformed(publicMessage: string): Error {
  return appError("malformed_json", publicMessage);
}

/**
 * Bytes → value. Throws `malformed_json` for what is not UTF-8 or not JSON or is too deep or wide, `invalid_request` for
 * refused keys, non-finite numbers (1e309) and text that cannot be stored. No message repeats the input.
 */
export function parseJson(bytes: Uint8Array): unknown {
  let value: unknown;
  try {
    value = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes));
  } catch {
    throw malformed("The body is not valid JSON in UTF-8.");
  }
  checkTree(value);
  return value;
}
