import { invariant } from "@codex/kernel";
import type { WireEvent } from "../model/events.ts";

/**
 * One event as text. It cannot be injected into (SEC-93): the name is one of ours, and the data is one line, in which the
 * line and paragraph separators of Unicode are escaped as well, for readers that break lines there.
 */
export function writeSse({ event, data }: WireEvent): string {
  invariant(/^[a-z0-9_.]*$/.test(event), "an event's name is a word of the dialect");
  invariant(!/[\r\n\0]/.test(data), "an event's data is one line of JSON");
  const name = event === "" ? "" : `event: ${event}\n`;
  return `${name}data: ${data.replaceAll("\u2028", "\\u2028").replaceAll("\u2029", "\\u2029")}\n\n`;
}

/** A named event, or with an empty name one that has only data. */
export function wireEvent(event: string, data: unknown): WireEvent {
  return { event, data: JSON.stringify(data) };
}
