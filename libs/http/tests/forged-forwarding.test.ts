import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { z } from "zod";
import { defineRoute, type RateAsk } from "../src/index.ts";
import { raw, serve, type TestServer } from "./_util.ts";

// SEC-05: who asks, for limits and for audit, is said by the hops that are ours and by nobody else. Over a raw socket, because a
// client library would tidy up what is forged.

const asked: RateAsk[] = [];
const seen = defineRoute({
  operationId: "seen",
  method: "GET",
  path: "/api/seen",
  summary: "The address that handlers and their audit get.",
  auth: "public",
  owner: "none",
  rateClass: "read",
  bodyLimitBytes: 0,
  logClass: "standard",
  request: {},
  responses: { 200: z.strictObject({ clientIp: z.string() }) },
  errors: [],
  handler: ({ clientIp }) => Promise.resolve({ status: 200, body: { clientIp } }),
});

const servers: Record<number, TestServer> = {};
beforeAll(async () => {
  for (const trustedProxyCount of [0, 1, 2]) {
    servers[trustedProxyCount] = await serve([seen], {
      trustedProxyCount,
      rateLimiter: {
        take: (ask) => {
          asked.push(ask);
          return Promise.resolve({ allowed: true, retryAfterSeconds: 0 });
        },
      },
    });
  }
});
afterAll(async () => {
  for (const server of Object.values(servers)) await server.close();
});

/** What the last hop of ours appends stands at the end; everything before it came from outside. */
const forged: readonly (readonly [what: string, headers: readonly string[]])[] = [
  ["two headers", ["X-Forwarded-For: 6.6.6.6", "X-Forwarded-For: 192.0.2.7"]],
  ["two headers of other spelling", ["x-forwarded-for: 6.6.6.6", "X-FORWARDED-FOR: 192.0.2.7"]],
  ["a list", ["X-Forwarded-For: 6.6.6.6, 7.7.7.7, 192.0.2.7"]],
  ["a list with an IPv6 zone", ["X-Forwarded-For: fe80::1%eth0, 192.0.2.7"]],
  ["a list in two headers, with empty entries", ["X-Forwarded-For: 6.6.6.6,,", "X-Forwarded-For: ,192.0.2.7"]],
  ["other headers that proxies write", ["X-Real-IP: 6.6.6.6", "Forwarded: for=6.6.6.6", "X-Forwarded-For: 192.0.2.7"]],
];

async function clientOf(proxies: number, headers: readonly string[]): Promise<string> {
  const { port } = servers[proxies] ?? { port: 0 };
  const lines = ["GET /api/seen HTTP/1.1", "Host: x", "Connection: close", ...headers, "", ""];
  const answer = await raw(port, lines.join("\r\n"));
  return /"clientIp":"([^"]*)"/.exec(answer)?.[1] ?? answer;
}

describe("SEC-05 the client's address behind a forged X-Forwarded-For", () => {
  test.each(forged)(
    "given %s, then with one proxy it is what that proxy saw, for handler and limiter",
    async (_what, headers) => {
      expect(await clientOf(1, headers)).toBe("192.0.2.7");
      expect(asked.at(-1)?.clientIp).toBe("192.0.2.7");
    },
  );

  test.each(forged)("given %s, then without a proxy it is the peer, whatever stands there", async (_what, headers) => {
    expect(await clientOf(0, headers)).toBe("127.0.0.1");
    expect(asked.at(-1)?.clientIp).toBe("127.0.0.1");
  });

  test("given two proxies, then it is the entry before the last, and the peer when there is none", async () => {
    expect(await clientOf(2, ["X-Forwarded-For: 6.6.6.6, 198.51.100.1, 192.0.2.7"])).toBe("198.51.100.1");
    expect(await clientOf(2, ["X-Forwarded-For: 6.6.6.6", "X-Forwarded-For: 2001:db8::1%eth0, 192.0.2.7"])).toBe(
      "2001:db8::1",
    );
    expect(await clientOf(2, ["X-Forwarded-For: 192.0.2.7"])).toBe("127.0.0.1");
  });
});
