/**
 * The one list of what may be left out of a conversion. Everything else that the other dialect cannot say is refused.
 * A hint is here because the answer means the same without it: it concerns speed, price, routing, storage or looks, or
 * repeats what is said elsewhere. The README shows this table; a test compares the two.
 */
export const hints = {
  cache_control: {
    fields:
      "`cache_control`, `prompt_cache_key`, `prompt_cache_options`, `prompt_cache_retention`, `prompt_cache_breakpoint`",
    why: "Where a provider may cache the prompt: it changes price and speed only. Kept between messages and chat.",
  },
  service: {
    fields:
      "`user`, `safety_identifier`, `metadata`, `service_tier`, `speed`, `labels`, `client_metadata`, `diagnostics`, `billing_policy`, `betas`",
    why: "Names the caller or picks a class of service; the gateway decides both (SEC-84).",
  },
  store: {
    fields: "`store: true`",
    why: "We store no content; what would refer to stored content later is refused.",
  },
  stream_shape: {
    fields: "`stream_options.include_obfuscation`, `include`, `streamFunctionCallArguments`",
    why: "Padding of a stream, or details of built-in tools, which are refused themselves.",
  },
  verbosity: {
    fields: "`verbosity`, `text.verbosity`",
    why: "A preference for length, where the other dialect has none.",
  },
  prediction: { fields: "`prediction`", why: "Makes a known answer faster." },
  image_detail: {
    fields: "`detail` of images and files",
    why: "A preference for resolution, where the other dialect has none.",
  },
  media_resolution: { fields: "`mediaResolution`", why: "The same, in gemini." },
  strict_tool: {
    fields: "`strict` of a tool or a format",
    why: "Where the other dialect has no such switch: the schema itself is kept.",
  },
  description_of_format: {
    fields: "`name`, `description` of a JSON schema format",
    why: "Where the other dialect has only the schema.",
  },
  tool_loading: {
    fields:
      "`defer_loading`, `eager_input_streaming`, `input_examples`, `output_schema`, and the place of `additional_tools`, `tool_addition`, `tool_removal`",
    why: "When a tool's definition is loaded: the tools as they stand at the end of the conversation are all declared at once.",
  },
  namespace_description: {
    fields: "`description` of a namespace of tools",
    why: "A label of the group; its tools say what they do.",
  },
  context_editing: {
    fields: "`context_management` with `clear_tool_uses` or `clear_thinking` edits",
    why: "Spares tokens; without it the model sees the whole conversation.",
  },
  reasoning_display: {
    fields: "`thinking.display`, `reasoning.summary`, `reasoning.context`, `includeThoughts`",
    why: "How reasoning is shown, where the other dialect has no such switch.",
  },
  reasoning_effort: {
    fields: "an effort or a token budget that the other dialect states otherwise",
    why: "Taken to the nearest step; the table of steps is in `model/efforts.ts`.",
  },
  reasoning_history: {
    fields: "past reasoning without a seal (messages), or with one (a chat provider without extensions)",
    why: "Providers ignore or refuse reasoning that they cannot recognise as their own.",
  },
  phase: { fields: "`phase` of a message, `status` and `id` of an item", why: "Repeats what the order of items says." },
  system_position: {
    fields: "system messages in the middle of a conversation (gemini)",
    why: "Gemini has one system instruction: they are appended to it in their order and keep their authority.",
  },
  order_of_calls: {
    fields: "text after a tool call in one turn (chat)",
    why: "Chat writes the text of a turn before its calls.",
  },
  safety_settings: {
    fields: "`safetySettings`",
    why: "Thresholds of one provider's filter; the filters of others cannot be set.",
  },
  title: { fields: "`title` of a document (gemini), `name` of a tool message", why: "A label beside the content." },
  annotations: {
    fields: "`annotations`, `citations`, `groundingMetadata` of an answer",
    why: "References into the text; the text is whole without them.",
  },
  cache_write_usage: {
    fields: "the tokens written to a cache, in the usage of an answer (gemini)",
    why: "Gemini counts them as prompt tokens; the total is the same, and the receipt has the classes.",
  },
  logprobs: {
    fields: "`logprobs` that were not asked for",
    why: "An answer's statistics; asking for them where there are none is refused.",
  },
} as const satisfies Readonly<Record<string, { readonly fields: string; readonly why: string }>>;

export type HintName = keyof typeof hints;
