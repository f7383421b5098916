import { jetstreamManager } from "@nats-io/jetstream";
import { origin, type World } from "./_util.ts";

/** What our own page sends with a changing request. */
const fromOurPage = { "sec-fetch-site": "same-origin", origin, "x-cx-csrf": "1" };

export interface PageAnswer {
  readonly status: number;
  readonly text: string;
  readonly body: Record<string, unknown>;
  readonly headers: Headers;
}

/** A changing request as the dashboard sends it. `more` are further headers. */
export async function send(
  world: Pick<World, "service">,
  method: "POST" | "PUT" | "DELETE",
  path: string,
  cookie: string | undefined,
  body?: unknown,
  more: Readonly<Record<string, string>> = {},
): Promise<PageAnswer> {
  const response = await fetch(`${world.service.httpUrl ?? ""}${path}`, {
    method,
    headers: {
      ...fromOurPage,
      ...(cookie === undefined ? {} : { cookie }),
      ...(body === undefined ? {} : { "content-type": "application/json" }),
      ...more,
    },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    signal: AbortSignal.timeout(10_000),
  });
  const text = await response.text();
  return {
    status: response.status,
    text,
    body: text === "" ? {} : (JSON.parse(text) as Record<string, unknown>),
    headers: response.headers,
  };
}

/** The bytes of an answer without its request id, which is the one thing that may differ. */
export function withoutRequestId(answer: Pick<PageAnswer, "status" | "text">): string {
  return `${String(answer.status)} ${answer.text.replace(/"requestId":"[^"]+"/, "")}`;
}

/** The newest event of a subject in the stream EVENTS; undefined when there is none. */
export async function lastEvent(world: Pick<World, "bus">, subject: string): Promise<unknown> {
  const jsm = await jetstreamManager(world.bus.connection);
  const message = await jsm.streams.getMessage("EVENTS", { last_by_subj: subject });
  return message?.json();
}
