import { listModels, resolveModel } from "../models.ts";
import type { Context } from "./context.ts";
import { modelNotFound } from "./errors.ts";

type Json = Readonly<Record<string, unknown>>;

/** The day all demo models were made: lists never change by themselves. */
const createdAt = new Date("2026-01-01T00:00:00.000Z");

const isAnthropic = ({ exchange }: Context): boolean => exchange.req.headers["anthropic-version"] !== undefined;

function entry(context: Context, id: string, title: string): Json {
  if (isAnthropic(context)) return { type: "model", id, display_name: title, created_at: createdAt.toISOString() };
  return { id, object: "model", created: createdAt.getTime() / 1_000, owned_by: "demo" };
}

async function send({ exchange }: Context, body: Json): Promise<void> {
  exchange.res.writeHead(200, { "content-type": "application/json" });
  await exchange.end(JSON.stringify(body));
}

/** `GET /v1/models`, in the shape of the dialect that the version header tells. */
export async function modelList(context: Context): Promise<void> {
  const data = listModels().map(({ id, title }) => entry(context, id, title));
  const page = { data, has_more: false, first_id: data[0]?.["id"] ?? null, last_id: data.at(-1)?.["id"] ?? null };
  await send(context, isAnthropic(context) ? page : { object: "list", data });
}

/** `GET /v1/models/{id}`; names with a suffix are found too. */
export async function modelOne(context: Context): Promise<void> {
  // Our names need no percent encoding, so an encoded one is not ours.
  const id = context.exchange.url.pathname.slice("/v1/models/".length);
  if (!resolveModel(id, context.config)) throw modelNotFound(id);
  await send(context, entry(context, id, listModels().find((model) => model.id === id)?.title ?? id));
}
