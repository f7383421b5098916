import { expect, test } from "@jest/globals";
import { once } from "node:events";
import { createServer, type ServerResponse } from "node:http";
import { connect, type AddressInfo } from "node:net";
import { ClientStream } from "./client-stream.ts";

const timers = (): number => process.getActiveResourcesInfo().filter((name) => name === "Timeout").length;

test("given a client who has left before his answer begins, then no timer stays behind", async () => {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const client = connect((server.address() as AddressInfo).port, "127.0.0.1");
  const asked = once(server, "request") as Promise<[unknown, ServerResponse]>;
  client.write("GET / HTTP/1.1\r\nhost: x\r\n\r\n");
  const [, res] = await asked;
  const left = once(res, "close");
  client.destroy();
  await left;
  const before = timers();
  const stream = new ClientStream(res, "openai", 60_000);
  expect(timers()).toBe(before);
  stream.write(Buffer.from("data: x\n\n"));
  stream.end();
  server.closeAllConnections();
  server.close();
});
