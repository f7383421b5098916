import { createHash } from "node:crypto";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { Agent } from "undici";

/**
 * The floor: the least that a hop in Node does which knows its caller and its request. `node:http` in front, undici behind,
 * SHA-256 of the key, JSON.parse of the body, and the answer passed on with back-pressure. No limit, no time-out, no charge.
 * Arguments: its port, the upstream's address. Issue 4 measures the gateway by it.
 */

const [port, upstream] = [Number(process.argv[2]), process.argv[3] ?? ""];
const agent = new Agent({ connections: 4_096, pipelining: 1 });
let seen = "";

function pass(req: IncomingMessage, res: ServerResponse, body: string): void {
  seen = createHash("sha256")
    .update(req.headers.authorization ?? "")
    .digest("hex");
  JSON.parse(body);
  agent.dispatch(
    {
      origin: upstream,
      path: req.url ?? "/",
      method: "POST",
      headers: { "content-type": "application/json", authorization: "Bearer upstream" },
      body,
    },
    {
      onRequestStart: () => undefined,
      onResponseStart: (_controller, status, headers) => {
        res.writeHead(status, { "content-type": String(headers["content-type"] ?? "application/json") });
      },
      onResponseData: (controller, chunk) => {
        if (res.write(chunk)) return;
        controller.pause();
        res.once("drain", () => controller.resume());
      },
      onResponseEnd: () => {
        res.end();
      },
      onResponseError: () => {
        res.destroy();
      },
    },
  );
}

createServer((req, res) => {
  if (req.method === "GET") {
    res.end(seen);
    return;
  }
  const pieces: Buffer[] = [];
  req.on("data", (piece: Buffer) => pieces.push(piece));
  req.on("end", () => pass(req, res, (pieces.length === 1 ? pieces[0] : Buffer.concat(pieces))?.toString() ?? ""));
}).listen(port, "127.0.0.1", 4_096);
