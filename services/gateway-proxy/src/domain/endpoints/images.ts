import type { TokenCounts } from "@codex/contracts";
import {
  jsonOutgoing,
  type Endpoint,
  type Outgoing,
  type ParsedRequest,
  type RequestBody,
  type Target,
} from "../endpoint.ts";
import {
  checkMediaUrl,
  flag,
  integer,
  invalid,
  isObject,
  list,
  modelOf,
  numberOf,
  oneOf,
  text,
  type Fields,
  type Json,
} from "../fields.ts";
import { fieldsAndFiles } from "../form-fields.ts";
import { textPart, writeForm, type FormPart } from "../form.ts";
import type { Operation } from "../operation.ts";
import { textOfParts } from "../request-text.ts";
import { TypedStream } from "../typed-stream.ts";
import { inputOutputUsage } from "../usage-objects.ts";
import { tokensFromInputOutput } from "../usage.ts";

/**
 * POST /v1/images/generations and /v1/images/edits. Charged by the number of pictures that came and their variant, size and
 * quality as one word ("1024x1024-high"), and by tokens where the provider reports them and the price has rates for them.
 */
interface ImageRequest extends ParsedRequest {
  readonly source: RequestBody;
  readonly fields: Json;
  readonly files: readonly FormPart[];
  readonly count: number;
}

/** platform.openai.com/docs/api-reference/images (read 2026-11). */
const generationFields: Fields = {
  model: text,
  prompt: text,
  n: integer(1, 10),
  size: text,
  quality: text,
  style: text,
  background: text,
  moderation: text,
  response_format: oneOf("b64_json", "url"),
  output_format: text,
  output_compression: integer(0, 100),
  partial_images: integer(0, 3),
  stream: flag,
  user: text,
};

/** Codex sends JSON with `images`, the SDKs a form with `image` or several `image[]` (clients.md §2). */
const editFields: Fields = {
  ...generationFields,
  images: list,
  mask: (value) => (isObject(value) ? undefined : text(value)),
  input_fidelity: text,
};
const editFiles = ["image", "image[]", "mask"];

const withheld = ["user"];
/** One picture in base64. */
const eventBytesMax = 33_554_432;

function parse(source: RequestBody, isEdit: boolean): ImageRequest {
  const { fields, files } = fieldsAndFiles(source, isEdit ? editFields : generationFields, isEdit ? editFiles : []);
  const model = modelOf(fields);
  const { prompt } = fields;
  if (typeof prompt !== "string" || prompt === "") throw invalid("prompt", "You must provide a `prompt`.");
  const urls = Array.isArray(fields["images"]) ? (fields["images"] as unknown[]) : [];
  for (const one of urls) checkMediaUrl(isObject(one) ? one["image_url"] : one, "images[].image_url");
  if (isEdit && urls.length === 0 && !files.some(({ name }) => name.startsWith("image"))) {
    throw invalid("image", "You must provide a picture: a file `image`, or `images` in JSON.");
  }
  return { source, fields, files, model, stream: fields["stream"] === true, count: numberOf(fields["n"]) ?? 1 };
}

function outgoing({ source, fields, files, model }: ImageRequest, target: Target): Outgoing {
  if (source.kind === "json") {
    const changes = new Map<string, unknown>(withheld.map((name) => [name, undefined]));
    if (target.model !== model) changes.set("model", target.model);
    return jsonOutgoing(source, changes);
  }
  const texts = Object.entries(fields)
    .filter(([name]) => name !== "model" && !withheld.includes(name))
    .map(([name, value]) => textPart(name, String(value)));
  return writeForm([textPart("model", target.model), ...texts, ...files]);
}

const word = (value: unknown): string | undefined =>
  typeof value === "string" && value !== "auto" && /^[a-z0-9]{1,15}$/i.test(value) ? value : undefined;

/** What the provider says it made, else what was asked for; what nobody says is the dearest there is (libs/contracts). */
function variantOf(answer: Json, { fields }: ImageRequest): string {
  const size = word(answer["size"]) ?? word(fields["size"]) ?? "auto";
  const quality = word(answer["quality"]) ?? word(fields["quality"]) ?? "auto";
  return `${size}-${quality}`;
}

/** Undefined while size or quality are the provider's choice. */
function variantAsked({ fields }: ImageRequest): string | undefined {
  const [size, quality] = [word(fields["size"]), word(fields["quality"])];
  return size !== undefined && quality !== undefined ? `${size}-${quality}` : undefined;
}

function imageEndpoint(path: string, operation: Operation, typePrefix: string): Endpoint<ImageRequest> {
  const isEdit = operation === "imageEdits";
  return {
    path,
    operation,
    dialect: "openai",
    accepts: isEdit ? ["json", "form"] : ["json"],
    forwardedHeaders: [],
    parse: (source) => parse(source, isEdit),
    bound: (request) => ({
      bodyBytes: Buffer.byteLength(String(request.fields["prompt"])),
      imageUrls: request.files.length + (Array.isArray(request.fields["images"]) ? request.fields["images"].length : 0),
      outputTokensAsked: undefined,
      answers: request.count,
      images: { count: request.count, variant: variantAsked(request) },
    }),
    text: ({ fields }) => textOfParts([fields["prompt"]], 1),
    outgoing,
    json: {
      problem: (answer) => (Array.isArray(answer["data"]) ? undefined : "answer has no data"),
      metered: (answer, request) => ({
        tokens: tokensFromInputOutput(answer["usage"]),
        answerBytes: 0,
        // More than was asked for is the provider's own idea.
        images: {
          count: Math.min((answer["data"] as unknown[]).length, request.count),
          variant: variantOf(answer, request),
        },
      }),
      usage: (tokens: TokenCounts) => inputOutputUsage(tokens),
    },
    stream: (request) =>
      new TypedStream({
        eventBytesMax,
        prefix: typePrefix,
        terminal: [`${typePrefix}completed`],
        terminals: request.count,
        failed: ["error", `${typePrefix}failed`],
        textMarks: [],
        holder: (event) => event,
        withHolder: (_event, holder) => holder,
        usage: inputOutputUsage,
        extra: (event) => ({ images: { count: 1, variant: variantOf(event, request) } }),
      }),
  };
}

export const imagesEndpoint = imageEndpoint("/v1/images/generations", "images", "image_generation.");
export const imageEditsEndpoint = imageEndpoint("/v1/images/edits", "imageEdits", "image_edit.");
