import { afterEach, describe, expect, test } from "@jest/globals";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { guardedLookup, mayConnect, type Lookup } from "./address-guard.ts";
import { checkBaseUrl } from "./base-url.ts";
import { Cancellation } from "./cancellation.ts";
import { UpstreamClient } from "./transport.ts";

describe("an address", () => {
  test.each(["1.1.1.1", "8.8.8.8", "100.63.255.255", "172.32.0.1", "2606:4700::1111", "2a00:1450:4001::200e"])(
    "%s is public: any channel may connect",
    (address) => {
      expect([mayConnect(address, false), mayConnect(address, true)]).toEqual([true, true]);
    },
  );

  test.each([
    "10.0.0.1",
    "100.64.0.1",
    "127.0.0.1",
    "127.1.2.3",
    "172.16.0.1",
    "172.31.255.255",
    "192.168.1.1",
    "::1",
    "fd12:3456::1",
  ])("%s is private: only with the egress that allows it", (address) => {
    expect([mayConnect(address, false), mayConnect(address, true)]).toEqual([false, true]);
  });

  test.each([
    "0.0.0.0",
    "0.1.2.3",
    "169.254.169.254",
    "192.0.2.1",
    "198.18.0.1",
    "224.0.0.1",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::127.0.0.1",
    "::ffff:127.0.0.1",
    "::ffff:8.8.8.8",
    "::FFFF:7f00:1",
    "64:ff9b::7f00:1",
    "2001:db8::1",
    "2001::1",
    "2002:7f00:1::",
    "fe80::1",
    "fe80::1%eth0",
    "fd00:ec2::254",
    "ff02::1",
    "",
    "localhost",
    "0x7f000001",
    "2130706433",
    "127.1",
  ])("'%s' is never connected to", (address) => {
    expect([mayConnect(address, false), mayConnect(address, true)]).toEqual([false, false]);
  });
});

describe("a base URL", () => {
  const refused = (egress: "vendor" | "public" | "private", url: string): boolean =>
    "problem" in checkBaseUrl(egress === "vendor" ? "openai" : "openai-compatible", egress, url);

  test.each([
    "http://api.example.com/v1",
    "https://127.0.0.1/v1",
    "https://2130706433/v1",
    "https://0x7f.1/v1",
    "https://0177.0.0.1/v1",
    "https://0/v1",
    "https://127.1/v1",
    "https://１２７.０.０.１/v1",
    "https://[::1]/v1",
    "https://[::]/v1",
    "https://[::ffff:127.0.0.1]/v1",
    "https://[::127.0.0.1]/v1",
    "https://[64:ff9b::7f00:1]/v1",
    "https://[fe80::1]/v1",
    "https://169.254.169.254/latest",
    "https://10.1.2.3/v1",
    "https://192.168.0.1/v1",
    "https://100.64.1.1/v1",
    "https://localhost/v1",
    "https://LOCALHOST./v1",
    "https://api.localhost/v1",
    "https://printer.local/v1",
    "https://metadata.google.internal/",
    "https://user:password@api.example.com/v1",
    "https://api.example.com/v1?key=1",
    "https://api.example.com/v1#x",
    "ftp://api.example.com/",
    "file:///etc/passwd",
    "no url",
  ])("given the egress `public`, then %s is refused", (url) => {
    expect(refused("public", url)).toBe(true);
  });

  test.each([
    "http://127.0.0.1:11434/v1",
    "http://localhost:11434/v1",
    "http://10.1.2.3/v1",
    "https://api.example.com/v1",
  ])("given the egress `private`, then %s is taken", (url) => {
    expect(checkBaseUrl("openai-compatible", "private", url)).toEqual({ url });
  });

  test.each(["http://169.254.169.254/v1", "http://0.0.0.0:80/", "http://[::ffff:10.0.0.1]/", "http://[fe80::1]/"])(
    "given the egress `private`, then %s is still refused",
    (url) => {
      expect(refused("private", url)).toBe(true);
    },
  );

  test("given the egress `vendor`, then only the vendor's hosts are taken, and none that only looks like one", () => {
    expect(checkBaseUrl("openai", "vendor", undefined)).toEqual({ url: "https://api.openai.com/v1" });
    expect(checkBaseUrl("openai", "vendor", "https://eu.api.openai.com")).toEqual({
      url: "https://eu.api.openai.com/v1",
    });
    for (const url of [
      "https://api.openai.com.evil.example/v1",
      "https://evil.example/api.openai.com",
      "https://xapi.openai.com/v1",
    ]) {
      expect(refused("vendor", url)).toBe(true);
    }
    expect(checkBaseUrl("azure-openai", "vendor", "https://mine.openai.azure.com/")).toEqual({
      url: "https://mine.openai.azure.com",
    });
    expect(checkBaseUrl("azure-openai", "vendor", "https://openai.azure.com")).toHaveProperty("problem");
    expect(checkBaseUrl("openai-compatible", "vendor", "https://a.example")).toHaveProperty("problem");
    expect(checkBaseUrl("azure-openai", "vendor", undefined)).toHaveProperty("problem");
  });
});

describe("the connection itself", () => {
  /** Answers each question with the next list, the last one for ever. */
  function resolver(...answers: (readonly string[])[]): Lookup {
    let asked = 0;
    return (_hostname, _options, callback) => {
      const addresses = answers[Math.min(asked, answers.length - 1)] ?? [];
      asked += 1;
      callback(
        null,
        addresses.map((address) => ({ address, family: address.includes(":") ? 6 : 4 })),
      );
    };
  }

  const lookedUp = (lookup: Lookup, privateAllowed: boolean): Promise<unknown> =>
    new Promise((resolve) => {
      guardedLookup(privateAllowed, lookup)("name.example", { all: true }, (error, addresses) => {
        resolve(error ? error.code : addresses);
      });
    });

  test("given a name of which one address is private, then the whole name is refused", async () => {
    expect(await lookedUp(resolver(["8.8.8.8", "10.0.0.1"]), false)).toBe("EADDRREFUSED");
    expect(await lookedUp(resolver(["8.8.8.8"]), false)).toEqual([{ address: "8.8.8.8", family: 4 }]);
    expect(await lookedUp(resolver([]), true)).toBe("EADDRREFUSED");
  });

  async function attempt(origin: string, egress: "public" | "private", lookup?: Lookup): Promise<unknown> {
    const client = new UpstreamClient({
      firstByteTimeoutMs: 2_000,
      betweenBytesTimeoutMs: 2_000,
      connectTimeoutMs: 1_000,
      connectionsMax: 1,
      ...(lookup ? { lookup } : {}),
    });
    try {
      const signal = new Cancellation();
      const answer = await client.call({ origin, path: "/", egress, headers: {}, body: "{}", signal });
      await answer.body.all(1_000);
      return answer.status;
    } catch (error) {
      return (error as { cause?: { code?: unknown } }).cause?.code;
    } finally {
      await client.close();
    }
  }

  const servers: Server[] = [];
  afterEach(async () => {
    for (const server of servers.splice(0)) await new Promise((resolve) => server.close(resolve));
  });

  test("given a server on this machine, then a name or a literal for it is reached only with the egress `private`", async () => {
    let reached = 0;
    const server = createServer((_req, res) => {
      reached += 1;
      res.end("{}");
    });
    servers.push(server);
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    const port = String((server.address() as AddressInfo).port);
    const local = resolver(["127.0.0.1"]);
    for (const host of ["127.0.0.1", "localhost", "upstream.example"]) {
      const lookup = host === "upstream.example" ? local : undefined;
      expect(await attempt(`http://${host}:${port}`, "public", lookup)).toBe("EADDRREFUSED");
    }
    expect(reached).toBe(0);
    // A name that was public when it was checked, and is not any more when it is connected to.
    const rebinding = resolver(["8.8.8.8"], ["127.0.0.1"]);
    await lookedUp(rebinding, false);
    expect(await attempt(`http://upstream.example:${port}`, "public", rebinding)).toBe("EADDRREFUSED");
    expect(reached).toBe(0);
    expect(await attempt(`http://upstream.example:${port}`, "private", local)).toBe(200);
    expect(reached).toBe(1);
  });
});
