import { parseFault, scriptedFaults, type Fault, type FaultDefaults } from "./faults.ts";

/** What a model says. `length` answers with an exact number of tokens, for load and for limits. */
export type Persona = "small" | "large" | "tools" | "reasoning" | "length";
export type Skill = "text" | "image" | "embedding" | "moderation" | "rerank" | "speech" | "transcript" | "realtime";

export interface Model {
  /** The name as the caller wrote it; answers repeat it. */
  readonly id: string;
  readonly persona: Persona;
  readonly skills: readonly Skill[];
  readonly fault: Fault | undefined;
  /** Tokens of the answer of `demo-length-<tokens>`. */
  readonly lengthTokens: number | undefined;
}

const allSkills: readonly Skill[] = [
  "text",
  "image",
  "embedding",
  "moderation",
  "rerank",
  "speech",
  "transcript",
  "realtime",
];

interface Listed {
  readonly id: string;
  readonly title: string;
  readonly persona: Persona;
  readonly skills: readonly Skill[];
}

const plain: readonly Listed[] = [
  { id: "demo-small", title: "Demo Small", persona: "small", skills: ["text"] },
  { id: "demo-large", title: "Demo Large", persona: "large", skills: ["text"] },
  { id: "demo-tools", title: "Demo Tools", persona: "tools", skills: ["text"] },
  { id: "demo-reasoning", title: "Demo Reasoning", persona: "reasoning", skills: ["text"] },
  { id: "demo-claude", title: "Demo Claude", persona: "small", skills: ["text"] },
  { id: "demo-embedding", title: "Demo Embedding", persona: "small", skills: ["embedding"] },
  { id: "demo-image", title: "Demo Image", persona: "small", skills: ["image"] },
  { id: "demo-moderation", title: "Demo Moderation", persona: "small", skills: ["moderation"] },
  { id: "demo-rerank", title: "Demo Rerank", persona: "small", skills: ["rerank"] },
  { id: "demo-speech", title: "Demo Speech", persona: "small", skills: ["speech"] },
  { id: "demo-transcribe", title: "Demo Transcribe", persona: "small", skills: ["transcript"] },
  { id: "demo-realtime", title: "Demo Realtime", persona: "small", skills: ["realtime"] },
  { id: "demo-whisper", title: "Demo Whisper", persona: "small", skills: ["transcript"] },
];

/** Longest answer of `demo-length-<tokens>`. */
const lengthTokensMax = 32_000;

/** The model behind a name, or undefined when there is none: 404 in the caller's dialect. */
export function resolveModel(id: string, defaults: FaultDefaults): Model | undefined {
  const known = plain.find((entry) => entry.id === id);
  if (known) return { ...known, fault: undefined, lengthTokens: undefined };
  const length = /^demo-length-(\d{1,6})$/.exec(id)?.[1];
  if (length !== undefined && Number(length) <= lengthTokensMax) {
    return { id, persona: "length", skills: ["text"], fault: undefined, lengthTokens: Number(length) };
  }
  const fault = parseFault(id, defaults);
  if (!fault) return undefined;
  // A fault is about the transport, so every endpoint has it.
  return { id, persona: "small", skills: allSkills, fault, lengthTokens: undefined };
}

/** What `GET /v1/models` lists: every name without its optional suffix. */
export function listModels(): readonly { id: string; title: string }[] {
  return [...plain.map(({ id, title }) => ({ id, title })), ...scriptedFaults.map((id) => ({ id, title: id }))];
}
