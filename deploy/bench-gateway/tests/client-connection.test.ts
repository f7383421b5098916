import { afterEach, describe, expect, test } from "@jest/globals";
import { createServer, type AddressInfo, type Server } from "node:net";
import { ClientConnection, type Answer } from "../src/client-connection.ts";

const servers: Server[] = [];
afterEach(async () => {
  for (const server of servers.splice(0)) await new Promise((resolve) => server.close(resolve));
});

/** What the client makes of an answer that comes in these pieces; "end" = the server hangs up then. */
async function answerOf(pieces: readonly string[]): Promise<Answer> {
  const made = createServer((socket) => {
    socket.setNoDelay(true);
    socket.on("data", () => {
      void (async () => {
        for (const piece of pieces) {
          if (piece === "end") socket.destroy();
          else await new Promise((resolve) => socket.write(piece, resolve));
          await new Promise(setImmediate);
        }
      })();
    });
  });
  servers.push(made);
  await new Promise<void>((resolve) => made.listen(0, "127.0.0.1", resolve));
  const url = `http://127.0.0.1:${String((made.address() as AddressInfo).port)}`;
  return new Promise((resolve) => {
    const client = new ClientConnection({ url, request: Buffer.from("POST / HTTP/1.1\r\n\r\n") }, (answer) => {
      client.close();
      resolve(answer);
    });
    client.send(performance.now());
  });
}

const head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n";

describe("an answer is whole", () => {
  test("given a length, when all its bytes have come", async () => {
    const answer = await answerOf(["HTTP/1.1 200 OK\r\ncontent-le", "ngth: 4\r\n\r\nab", "cd"]);
    expect(answer).toMatchObject({ whole: true, status: 200 });
    expect(answer.endedMs).toBeGreaterThanOrEqual(answer.firstByteMs);
  });

  test("given a stream, when [DONE] and the end of the body have come, also where a hop has cut [DONE] in two chunks", async () => {
    expect(await answerOf([head, "e\r\ndata: [DONE]\n\n\r\n", "0\r\n\r\n"])).toMatchObject({ whole: true });
    expect(await answerOf([head, "9\r\ndata: [DO\r\n", "5\r\nNE]\n\n\r\n0\r\n\r\n"])).toMatchObject({ whole: true });
  });

  test("given chunked JSON, when the body has ended", async () => {
    const json = head.replace("text/event-stream", "application/json");
    expect(await answerOf([json, "2\r\n{}\r\n0\r\n\r\n"])).toMatchObject({ whole: true });
  });
});

describe("an answer is not whole", () => {
  test("given a stream that ends without [DONE]", async () => {
    expect(await answerOf([head, "9\r\ndata: {}\n\r\n0\r\n\r\n"])).toMatchObject({ whole: false, status: 200 });
  });

  test("given a stream, when the connection breaks in the middle", async () => {
    expect(await answerOf([head, "e\r\ndata: [DONE]\n\n\r\n", "end"])).toMatchObject({ whole: false });
  });

  test("given a refusal, then it counts by its status", async () => {
    const refusal = await answerOf(["HTTP/1.1 402 Payment Required\r\ncontent-length: 2\r\n\r\n{}"]);
    expect(refusal).toMatchObject({ whole: false, status: 402 });
  });
});
