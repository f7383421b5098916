import { expect, test } from "@jest/globals";
import { createServer, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { Cancellation } from "../../upstream/cancellation.ts";
import { UpstreamClient } from "../../upstream/transport.ts";
import { relayRaw } from "./relay-raw.ts";

test("given JSON without an end where sound was asked for, then it is refused, and the upstream's connection does not stay", async () => {
  const closed = Promise.withResolvers<undefined>();
  const server = createServer((_req, res) => {
    res.once("close", () => closed.resolve(undefined));
    res.writeHead(200, { "content-type": "application/json" }).write('{"error":');
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const client = new UpstreamClient({
    firstByteTimeoutMs: 60_000,
    betweenBytesTimeoutMs: 60_000,
    connectTimeoutMs: 1_000,
    connectionsMax: 1,
  });
  try {
    const answer = await client.call({
      origin: `http://127.0.0.1:${String((server.address() as AddressInfo).port)}`,
      path: "/audio/speech",
      egress: "private",
      headers: {},
      body: "{}",
      signal: new Cancellation(),
    });
    // It is refused before anything of the request is looked at.
    const [format, parsed, request, res] = [{}, {}, {}, {}] as never[];
    const relayed = relayRaw(
      answer,
      format as never,
      parsed as never,
      request as never,
      res as unknown as ServerResponse,
      () => undefined,
      1_000,
    );
    await expect(relayed).rejects.toMatchObject({ code: "upstream_error" });
    await closed.promise;
  } finally {
    await client.close();
    server.closeAllConnections();
    server.close();
  }
});
