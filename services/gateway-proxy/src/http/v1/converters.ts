import type { Route } from "../../app/catalogue.ts";
import type { Outgoing, ParsedRequest, Target } from "../../domain/endpoint.ts";
import type { Operation } from "../../domain/operation.ts";
import type { StreamState } from "../../domain/stream-state.ts";
import { speaks } from "../../upstream/kinds/index.ts";

/**
 * How a channel that does not speak an endpoint's dialect can serve it all the same. The one place that knows who converts
 * what: the engine asks it for each channel, and a channel without a way is no candidate.
 */
export interface Converter {
  /** What the channel is asked in place of the endpoint's own operation. */
  readonly operation: Operation;
  /** Throws AppError (kind `invalid`) that names what cannot be converted. */
  readonly request: (request: ParsedRequest, target: Target) => Outgoing;
  /** The channel's plain answer as one of the endpoint. */
  readonly answer: (bytes: Buffer) => Buffer;
  /** The channel's events as those of the endpoint, with its usage and its end. */
  readonly stream: (request: ParsedRequest) => StreamState;
}

/** `native`: the channel takes the endpoint's requests as they are. Undefined: it cannot serve them. */
export type Way = "native" | Converter | undefined;

export function wayTo(operation: Operation, { kind }: Pick<Route, "kind">): Way {
  if (speaks(kind, operation)) return "native";
  return converterOf(operation);
}

/** None yet: conversion between dialects is a library of its own (docs/architecture.md). */
function converterOf(operation: Operation): Converter | undefined {
  return converters[operation];
}

const converters: Partial<Record<Operation, Converter>> = {};
