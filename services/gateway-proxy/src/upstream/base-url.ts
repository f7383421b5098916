import type { ChannelEgress, ChannelKind } from "@codex/contracts";
import { isIP } from "node:net";
import { mayConnect } from "./address-guard.ts";
import { kinds } from "./kinds/index.ts";

export type BaseUrlAnswer = { readonly url: string } | { readonly problem: string };

/** Of a channel for which the operator named none. */
export function defaultEgress(kind: ChannelKind): ChannelEgress {
  if (kind === "demo") return "private";
  return kinds[kind].hosts.length > 0 ? "vendor" : "public";
}

/**
 * The base URL as it is stored, or one sentence about what is wrong with it. Names are looked at here and resolved only when a
 * connection is made, each time (address-guard.ts).
 */
export function checkBaseUrl(kind: ChannelKind, egress: ChannelEgress, given: string | undefined): BaseUrlAnswer {
  const record = kinds[kind];
  const text = given ?? record.defaultBaseUrl;
  if (text === undefined) return { problem: `A channel of the kind ${kind} needs a base URL.` };
  if (!URL.canParse(text)) return { problem: "The base URL is not a URL." };
  const url = new URL(text);
  if (url.username !== "" || url.password !== "" || url.search !== "" || url.hash !== "") {
    return { problem: "The base URL may hold neither credentials nor a query nor a fragment." };
  }
  if (url.protocol !== "https:" && (url.protocol !== "http:" || egress !== "private")) {
    return { problem: "The base URL must begin with https://; plain http needs the egress `private`." };
  }
  const problem = hostProblem(url.hostname, record.hosts, egress);
  if (problem !== undefined) return { problem };
  const path = url.pathname.replace(/\/+$/, "");
  return { url: `${url.origin}${path === "" ? record.basePath : path}` };
}

function hostProblem(hostname: string, hosts: readonly string[], egress: ChannelEgress): string | undefined {
  if (egress === "vendor") {
    if (hosts.length === 0) return "This kind has no hosts of its own; use the egress `public` or `private`.";
    const known = hosts.some((host) => (host.startsWith(".") ? hostname.endsWith(host) : hostname === host));
    return known
      ? undefined
      : `The host is none of the vendor's (${hosts.join(", ")}); another one needs the egress \`public\`.`;
  }
  const literal = hostname.replace(/^\[|\]$/g, "");
  const privateAllowed = egress === "private";
  const refused = isIP(literal) !== 0 ? !mayConnect(literal, privateAllowed) : isLocalName(hostname) && !privateAllowed;
  if (!refused) return undefined;
  return privateAllowed
    ? "No channel may connect to this address."
    : "The address is not a public one; private networks need the egress `private`.";
}

/** Names that stand for this machine or this network whatever a resolver says (RFC 6761, RFC 8375, RFC 6762). */
function isLocalName(hostname: string): boolean {
  return /(^|\.)(localhost|local|internal|home\.arpa)\.?$/i.test(hostname);
}
