import { createServer, type IncomingHttpHeaders, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

/** A provider whose every answer a test writes: for what depends on the key, the order or the moment. */

export interface UpstreamCallSeen {
  /** What came as bearer. */
  readonly key: string | undefined;
  readonly model: string;
  readonly path: string;
  readonly headers: IncomingHttpHeaders;
  readonly body: Readonly<Record<string, unknown>>;
  /** Of the gateway's end of the connection. */
  readonly port: number | undefined;
}

export type Script = (call: UpstreamCallSeen, res: ServerResponse) => void;

export class ScriptedUpstream {
  readonly url: string;
  readonly calls: UpstreamCallSeen[] = [];
  script: Script = answerWell;
  private readonly server: Server;

  private constructor(server: Server) {
    this.server = server;
    this.url = `http://127.0.0.1:${String((server.address() as AddressInfo).port)}/v1`;
  }

  static async start(): Promise<ScriptedUpstream> {
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    const upstream = new ScriptedUpstream(server);
    server.on("request", (req, res) => {
      let text = "";
      req.setEncoding("utf8").on("data", (piece: string) => (text += piece));
      req.on("end", () => {
        const body = JSON.parse(text) as Record<string, unknown>;
        const { authorization } = req.headers;
        const call = {
          key: authorization?.replace("Bearer ", ""),
          model: String(body["model"]),
          path: req.url ?? "",
          headers: req.headers,
          body,
          port: req.socket.remotePort,
        };
        upstream.calls.push(call);
        upstream.script(call, res);
      });
    });
    return upstream;
  }

  async close(): Promise<void> {
    await new Promise((resolve) => {
      this.server.close(resolve);
      this.server.closeAllConnections();
    });
  }
}

/** One chat completion of two tokens. */
export function answerWell(call: UpstreamCallSeen, res: ServerResponse): void {
  const message = { role: "assistant", content: call.model };
  const choices = [{ index: 0, message, finish_reason: "stop" }];
  const usage = { prompt_tokens: 1, completion_tokens: 1, total_tokens: 2 };
  res.writeHead(200, { "content-type": "application/json" });
  res.end(JSON.stringify({ id: "c", object: "chat.completion", created: 1, model: call.model, choices, usage }));
}

export function refuse(status: number, headers: Readonly<Record<string, string>> = {}, code = "x"): Script {
  return (_call, res) => {
    res.writeHead(status, { "content-type": "application/json", ...headers });
    res.end(JSON.stringify({ error: { message: "the upstream's own words", type: code, code } }));
  };
}
