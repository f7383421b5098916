import type { JsonObject } from "./dialect.ts";
import type { CacheLifetime, Turn } from "./parts.ts";

export interface Tool {
  readonly name: string;
  readonly namespace?: string;
  readonly description?: string;
  /** JSON Schema of the arguments; an empty object schema for a custom tool. */
  readonly parameters: JsonObject;
  readonly strict?: boolean;
  readonly custom: boolean;
  readonly cache?: CacheLifetime;
  readonly at?: string;
}

export type ToolChoice =
  | { readonly mode: "auto" | "none" | "required"; readonly allowed?: readonly ToolName[] }
  | { readonly mode: "named"; readonly tool: ToolName };

export interface ToolName {
  readonly name: string;
  readonly namespace?: string;
}

export const efforts = ["none", "minimal", "low", "medium", "high", "xhigh", "max"] as const;
export type Effort = (typeof efforts)[number];

export interface Reasoning {
  readonly effort?: Effort;
  /** Bound of the reasoning in tokens; 0 switches it off. */
  readonly budgetTokens?: number;
  /** Whether the client wants to see the reasoning, or a summary of it; undefined leaves it to the provider. */
  readonly shown?: boolean;
}

export type OutputFormat =
  | { readonly type: "json_object" }
  | {
      readonly type: "json_schema";
      readonly name?: string;
      readonly description?: string;
      readonly schema: JsonObject;
      readonly strict?: boolean;
    };

/** What is absent is the provider's default; a value that equals the documented default is left absent. */
export interface Settings {
  readonly maxOutputTokens?: number;
  readonly temperature?: number;
  readonly topP?: number;
  readonly topK?: number;
  readonly seed?: number;
  readonly frequencyPenalty?: number;
  readonly presencePenalty?: number;
  readonly stop?: readonly string[];
  /** Number of answers, above 1. */
  readonly answers?: number;
  readonly logprobs?: boolean;
  readonly topLogprobs?: number;
  readonly verbosity?: "low" | "high";
  readonly toolChoice?: ToolChoice;
  /** Absent: the provider may call several tools at once. */
  readonly parallelToolCalls?: false;
  readonly reasoning?: Reasoning;
  readonly outputFormat?: OutputFormat;
}

export interface ConversationRequest {
  readonly model: string;
  readonly stream: boolean;
  /** Chat only sends usage in a stream when asked (`stream_options.include_usage`); the others always do. */
  readonly streamUsage: boolean;
  /** Neighbours never have the same role (and authority): {@link joinTurns}. */
  readonly turns: readonly Turn[];
  readonly tools: readonly Tool[];
  readonly settings: Settings;
  /** Where each setting stood in the client's body. */
  readonly paths: Readonly<Partial<Record<keyof Settings, string>>>;
}
