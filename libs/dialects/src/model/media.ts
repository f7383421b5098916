import { below, malformed, type Fields } from "./fields.ts";
import type { CacheLifetime, MediaSource } from "./parts.ts";
import type { RefusalKind } from "./refusal.ts";

/** RFC 2397, base64 only, parameters other than `base64` dropped: providers take no others. */
const dataUrl = /^data:([a-z0-9.+-]+\/[a-z0-9.+-]+)(?:;[a-z0-9-]+=[^;,]*)*;base64,([A-Za-z0-9+/=_-]*)$/i;
const webUrl = /^https?:\/\//i;

/** Reads `https://…` or `data:…;base64,…`; nothing is ever fetched (SEC-80). */
export function mediaFromUrl(url: string, path: string, kind: RefusalKind = "invalid"): MediaSource {
  const match = url.startsWith("data:") || url.startsWith("DATA:") ? dataUrl.exec(url) : null;
  if (match?.[1] !== undefined && match[2] !== undefined) {
    return { kind: "base64", mediaType: match[1].toLowerCase(), data: match[2] };
  }
  if (webUrl.test(url)) return { kind: "url", url };
  throw malformed(kind, path, "an https URL, or a data URL in base64 with its media type");
}

export function mediaToUrl(source: MediaSource): string {
  return source.kind === "url" ? source.url : `data:${source.mediaType};base64,${source.data}`;
}

const mediaTypes: Readonly<Record<string, string>> = {
  png: "image/png",
  jpg: "image/jpeg",
  jpeg: "image/jpeg",
  gif: "image/gif",
  webp: "image/webp",
  heic: "image/heic",
  pdf: "application/pdf",
  txt: "text/plain",
  md: "text/plain",
  csv: "text/csv",
  html: "text/html",
};

/** The media type that the ending of a URL's path stands for; undefined when it does not tell. */
export function mediaTypeOfUrl(url: string): string | undefined {
  const path = /^https?:\/\/[^/?#]*([^?#]*)/i.exec(url)?.[1] ?? "";
  const ending = /\.([a-z0-9]{2,5})$/i.exec(path)?.[1]?.toLowerCase() ?? "";
  return Object.hasOwn(mediaTypes, ending) ? mediaTypes[ending] : undefined;
}

export function textToBase64(text: string): string {
  return Buffer.from(text, "utf8").toString("base64");
}

/** Undefined when the bytes are not UTF-8. */
export function base64ToText(data: string): string | undefined {
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(Buffer.from(data, "base64"));
  } catch {
    return undefined;
  }
}

/** `cache_control` of a part: messages, and chat servers that follow it (OpenRouter). */
export function cacheOf(fields: Fields): { cache?: CacheLifetime } {
  const control = fields.fields("cache_control");
  if (control === undefined) return {};
  if (control.needText("type") !== "ephemeral") {
    throw malformed(control.kind, below(control.path, "type"), "ephemeral");
  }
  const lifetime = control.oneOf("ttl", ["5m", "1h"]) ?? "5m";
  control.done();
  return { cache: lifetime };
}

export function cacheControl(part: { readonly cache?: CacheLifetime }): { cache_control?: object } {
  if (part.cache === undefined) return {};
  return { cache_control: part.cache === "1h" ? { type: "ephemeral", ttl: "1h" } : { type: "ephemeral" } };
}
