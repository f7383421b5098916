import { randomUUID } from "node:crypto";
import { STATUS_CODES, type IncomingMessage } from "node:http";
import type { Duplex } from "node:stream";
import { WebSocketServer } from "ws";
import type { DemoUpstreamConfig } from "../config.ts";
import { requireCredential } from "../http/auth.ts";
import { ApiError, errorBody, invalidRequest, modelNotFound, scriptedError } from "../http/errors.ts";
import type { Journal } from "../journal.ts";
import { resolveModel, type Model } from "../models.ts";
import { paceOf } from "../pace.ts";
import { startSession } from "./session.ts";

/** `GET /v1/realtime?model=…` as a websocket; any other request for one is refused. */
export class DemoRealtime {
  private readonly config: DemoUpstreamConfig;
  private readonly journal: Journal;
  private readonly server = new WebSocketServer({ noServer: true, maxPayload: 16_777_216, perMessageDeflate: false });

  constructor(config: DemoUpstreamConfig, journal: Journal) {
    this.config = config;
    this.journal = journal;
  }

  readonly accept = (req: IncomingMessage, socket: Duplex, head: Buffer): void => {
    socket.on("error", () => socket.destroy());
    const url = URL.parse(req.url ?? "/", "http://demo.invalid/");
    const given = req.headers["x-request-id"];
    const requestId = typeof given === "string" && given.length <= 128 ? given : randomUUID();
    try {
      if (url?.pathname !== "/v1/realtime") throw new ApiError({ status: 404, message: "No websocket here." });
      requireCredential(req.headers, this.config.key, "openai");
      const model = this.modelOf(url);
      if (model.fault?.kind === "hang") return;
      const pace = paceOf(this.config, url.searchParams, model.fault);
      const { journal } = this;
      this.server.handleUpgrade(req, socket, head, (ws) => {
        startSession({ socket: ws, model, requestId, journal, pace });
      });
    } catch (thrown) {
      const error = thrown instanceof ApiError ? thrown : new ApiError({ status: 500, message: "A defect." });
      const body = JSON.stringify(errorBody("openai", error, requestId));
      const headers = Object.entries({
        ...error.headers,
        "content-type": "application/json",
        "content-length": String(Buffer.byteLength(body)),
        connection: "close",
      }).map(([name, value]) => `${name}: ${value}\r\n`);
      socket.end(
        `HTTP/1.1 ${String(error.status)} ${STATUS_CODES[error.status] ?? ""}\r\n${headers.join("")}\r\n${body}`,
      );
    }
  };

  close(): void {
    for (const client of this.server.clients) client.terminate();
  }

  private modelOf(url: URL): Model {
    const id = url.searchParams.get("model");
    if (id === null) throw invalidRequest("You must name a model.", "model");
    const model = resolveModel(id, this.config);
    if (!model?.skills.includes("realtime")) throw modelNotFound(id);
    if (model.fault?.kind === "error") throw scriptedError(id, model.fault.status, model.fault.retryAfterSeconds);
    return model;
  }
}
