import http from "node:http";
import { existsSync } from "node:fs";
import { engineAddresses, type EngineAddresses } from "./config.ts";

export interface EngineState {
  readonly available: boolean;
  /** One sentence for the log: where it answers, or what was tried. */
  readonly reason: string;
}

const pingTimeoutMs = 2000;

/** Asks for `GET /_ping` (Docker Engine API), which Docker and Podman answer. Takes at most two seconds per address. */
export async function detectEngine(addresses: EngineAddresses = engineAddresses()): Promise<EngineState> {
  const { dockerHost, sockets } = addresses;
  if (dockerHost !== undefined) {
    const target = pingTarget(dockerHost);
    if (target === undefined)
      return { available: false, reason: `DOCKER_HOST ${dockerHost} is not a unix:// or tcp:// address.` };
    const answers = await ping(target);
    return {
      available: answers,
      reason: `A container engine ${answers ? "answers" : "does not answer"} at ${dockerHost}.`,
    };
  }
  const present = sockets.filter((socket) => existsSync(socket));
  for (const socketPath of present) {
    if (await ping({ socketPath })) return { available: true, reason: `A container engine answers at ${socketPath}.` };
  }
  const tried =
    present.length === 0 ? `there is no socket at ${sockets.join(", ")}` : `no answer at ${present.join(", ")}`;
  return { available: false, reason: `No container engine: ${tried}.` };
}

function pingTarget(dockerHost: string): http.RequestOptions | undefined {
  if (!URL.canParse(dockerHost)) return undefined;
  const url = new URL(dockerHost);
  if (url.protocol === "unix:") return { socketPath: url.pathname };
  if (url.protocol !== "tcp:" && url.protocol !== "http:") return undefined;
  return { host: url.hostname, port: url.port === "" ? 2375 : Number(url.port) };
}

function ping(target: http.RequestOptions): Promise<boolean> {
  return new Promise((resolve) => {
    const request = http.get(
      { ...target, path: "/_ping", agent: false, signal: AbortSignal.timeout(pingTimeoutMs) },
      (response) => {
        response.resume();
        response.on("error", () => resolve(false));
        resolve(response.statusCode === 200);
      },
    );
    request.on("error", () => resolve(false));
  });
}
