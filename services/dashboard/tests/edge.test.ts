import { problem } from "@codex/contracts";
import { eventually } from "@codex/testkit";
import { afterEach, beforeEach, describe, expect, test } from "@jest/globals";
import { request } from "node:http";
import { startEdge, type Echo, type Edge } from "./_services.ts";

let edge: Edge;

beforeEach(async () => {
  edge = await startEdge();
});

afterEach(async () => {
  await edge.stop();
});

async function ask(path: string, init: RequestInit = {}): Promise<Response> {
  return fetch(`${edge.origin}${path}`, { signal: AbortSignal.timeout(5_000), ...init });
}

async function echoed(path: string, init?: RequestInit): Promise<Echo> {
  return (await (await ask(path, init)).json()) as Echo;
}

describe("the way to the services", () => {
  test.each([
    ["/v1/chat/completions", "gateway"],
    ["/v1", "gateway"],
    ["/api/auth/me", "auth"],
    ["/api/keys", "keys"],
    ["/api/keys/key_1/revoke", "keys"],
    ["/api/billing/usage?limit=5&cursor=a%2Fb", "billing"],
    ["/api/gateway/channels", "gateway"],
    ["/api/bonus/referral-code", "bonus"],
    ["/images/quota", "images"],
  ])("given %s, then %s is asked for exactly that", async (path, service) => {
    expect(await echoed(path)).toMatchObject({ service, method: "GET", url: path });
  });

  test("given a name that only begins like a prefix, then no service is asked", async () => {
    for (const path of ["/v1x", "/api/authx", "/imagesx"]) {
      const answer = await ask(path);
      expect(answer.headers.get("content-type")).not.toBe("application/json");
    }
  });

  test("given a body, then the service gets it unchanged", async () => {
    const body = JSON.stringify({ text: "я".repeat(100_000) });
    const said = await echoed("/v1/chat/completions", {
      method: "POST",
      body,
      headers: { "content-type": "application/json" },
    });
    expect(said.method).toBe("POST");
    expect(said.body).toBe(body);
  });

  test("given headers that claim an identity, then none of them arrives", async () => {
    const lies = {
      "x-account-id": "acc_1",
      "X-User-Id": "1",
      "x-user-role": "admin",
      "x-session-id": "ses_1",
      "x-forwarded-host": "evil.example",
      "x-forwarded-proto": "https",
      forwarded: "for=1.2.3.4",
      "x-real-ip": "1.2.3.4",
    };
    const { headers } = await echoed("/api/keys", { headers: { ...lies, authorization: "Bearer x", cookie: "a=b" } });
    for (const name of Object.keys(lies)) expect(headers[name.toLowerCase()]).toBeUndefined();
    const expecting = JSON.parse((await raw("/api/keys", { ...lies, expect: "100-continue" })).text) as Echo;
    for (const name of Object.keys(lies)) expect(expecting.headers[name.toLowerCase()]).toBeUndefined();
    expect(headers).toMatchObject({ authorization: "Bearer x", cookie: "a=b", host: new URL(edge.origin).host });
  });

  test("given an x-forwarded-for, then the real address stands behind it: what services trust is the last", async () => {
    const { headers } = await echoed("/api/keys", { headers: { "x-forwarded-for": "1.2.3.4" } });
    expect(String(headers["x-forwarded-for"])).toMatch(/^1\.2\.3\.4, ?(::ffff:)?127\.0\.0\.1$/);
    const plain = await echoed("/api/keys");
    expect(String(plain.headers["x-forwarded-for"])).toMatch(/^(::ffff:)?127\.0\.0\.1$/);
  });
});

describe("streams", () => {
  test("given server-sent events, then the first arrives before the second is sent", async () => {
    let sendSecond: () => void = () => undefined;
    edge.answer("gateway", (_req, res) => {
      res.writeHead(200, { "content-type": "text/event-stream" });
      res.write("data: one\n\n");
      sendSecond = () => res.end("data: two\n\n");
    });
    const answer = await ask("/v1/chat/completions", { method: "POST", body: "{}" });
    const reader = answer.body!.pipeThrough(new TextDecoderStream()).getReader();
    // The second is sent only now that the first is here, so a proxy that buffers would wait for ever.
    expect((await reader.read()).value).toBe("data: one\n\n");
    sendSecond();
    expect((await reader.read()).value).toBe("data: two\n\n");
    expect((await reader.read()).done).toBe(true);
  });

  test("given a client that goes away in the middle of a stream, then the service sees it go", async () => {
    let gone = false;
    edge.answer("gateway", (_req, res) => {
      res.writeHead(200, { "content-type": "text/event-stream" });
      res.write("data: one\n\n");
      res.on("close", () => (gone = true));
    });
    const abort = new AbortController();
    const answer = await ask("/v1/chat/completions", { method: "POST", body: "{}", signal: abort.signal });
    await answer.body!.getReader().read();
    expect(gone).toBe(false);
    abort.abort();
    await eventually(async () => gone, { timeoutMs: 2_000, what: "the service to see the client go" });
  });

  test("given a client that goes away before the first byte, then the service sees it go", async () => {
    let asked = false;
    let gone = false;
    edge.answer("gateway", (req, res) => {
      asked = true;
      req.resume();
      res.on("close", () => (gone = true));
    });
    const abort = new AbortController();
    const answer = ask("/v1/chat/completions", { method: "POST", body: "{}", signal: abort.signal });
    const failed = expect(answer).rejects.toThrow();
    await eventually(async () => asked, { timeoutMs: 2_000, what: "the service to be asked" });
    abort.abort();
    await failed;
    await eventually(async () => gone, { timeoutMs: 2_000, what: "the service to see the client go" });
  });

  test("given a service that breaks off in the middle, then the client sees a broken stream, not a whole one", async () => {
    edge.answer("gateway", (_req, res) => {
      res.writeHead(200, { "content-type": "text/event-stream" });
      res.write("data: one\n\n", () => res.destroy());
    });
    const answer = await ask("/v1/chat/completions", { method: "POST", body: "{}" });
    await expect(answer.text()).rejects.toThrow();
  });
});

describe("a service that is gone", () => {
  test("under /api is a 503 with problem details and a request id", async () => {
    await edge.kill("keys");
    const answer = await ask("/api/keys");
    expect(answer.status).toBe(503);
    expect(answer.headers.get("content-type")).toBe("application/problem+json");
    expect(Number(answer.headers.get("retry-after"))).toBeGreaterThan(0);
    const body = problem.parse(await answer.json());
    expect(body).toMatchObject({ status: 503, code: "service_unavailable" });
    expect(answer.headers.get("x-request-id")).toBe(body.requestId);
  });

  test("under /v1 is a 503 in OpenAI's form", async () => {
    await edge.kill("gateway");
    const answer = await ask("/v1/models");
    expect(answer.status).toBe(503);
    expect(answer.headers.get("content-type")).toMatch(/^application\/json/);
    const body: unknown = await answer.json();
    expect(body).toMatchObject({ error: { code: "service_unavailable", param: null } });
    expect(JSON.stringify(body)).toContain(answer.headers.get("x-request-id"));
  });

  test("leaves the others alone", async () => {
    await edge.kill("keys");
    expect((await ask("/api/auth/me")).status).toBe(200);
  });
});

describe("the page", () => {
  test("given a path of no API, then it is the page, never stored, with a policy whose nonce is new each time", async () => {
    const loads = await Promise.all(["/", "/usage", "/a/b"].map((path) => ask(path)));
    const nonces = new Set<string | undefined>();
    for (const answer of loads) {
      expect(answer.status).toBe(200);
      expect(answer.headers.get("cache-control")).toBe("no-store");
      expect(answer.headers.get("x-content-type-options")).toBe("nosniff");
      const policy = answer.headers.get("content-security-policy") ?? "";
      expect(policy).toContain("default-src 'none'");
      expect(policy).toContain("frame-ancestors 'none'");
      expect(policy).not.toMatch(/unsafe|\*/);
      const nonce = /'nonce-([^']{20,})'/.exec(policy)?.[1];
      const html = await answer.text();
      expect(html).toContain(`content="${String(nonce)}"`);
      expect(html).not.toContain("__CSP_NONCE__");
      nonces.add(nonce);
    }
    expect(nonces.size).toBe(loads.length);
  });

  test.each(["POST", "PUT", "DELETE", "PATCH"])(
    "given %s to a path of no API, then 404 with problem details",
    async (method) => {
      const answer = await ask("/usage", { method });
      expect(answer.status).toBe(404);
      expect(problem.parse(await answer.json()).code).toBe("route_not_found");
    },
  );

  test.each(["/api/nothing", "/api/nothing/deeper", "/api", "/assets/of-an-older-build.js", "/assets/"])(
    "given %s, then 404 with problem details and not the page",
    async (path) => {
      const answer = await ask(path);
      expect(answer.status).toBe(404);
      expect(answer.headers.get("content-type")).toMatch(/^application\/problem\+json/);
      const body = problem.parse(await answer.json());
      expect(body.code).toBe("route_not_found");
      expect(answer.headers.get("x-request-id")).toBe(body.requestId);
    },
  );

  test("given a file with a hash in its name, then browsers may keep it for ever; one without is asked for again", async () => {
    const asset = await ask("/assets/main-abc.js");
    expect(asset.headers.get("cache-control")).toBe("public, max-age=31536000, immutable");
    expect(asset.headers.get("content-type")).toMatch(/javascript/);
    expect(asset.headers.get("x-content-type-options")).toBe("nosniff");
    const icon = await ask("/favicon.svg");
    expect(icon.status).toBe(200);
    expect(icon.headers.get("cache-control")).toBe("no-cache");
    const again = await raw("/favicon.svg", { "if-none-match": icon.headers.get("etag") ?? "" });
    expect(again.status).toBe(304);
  });

  test("given any spelling of the page's file, then it is never the file without its policy", async () => {
    for (const path of [
      "/index.html",
      "//index.html",
      "/index%2Ehtml",
      "/assets/../index.html",
      "/assets/%2e%2e/index.html",
      "/favicon.svg/../index.html",
      "/assets/..%2findex.html",
    ]) {
      const { text } = await raw(path);
      expect({ path, holdsPlaceholder: text.includes("__CSP_NONCE__") }).toEqual({ path, holdsPlaceholder: false });
    }
  });
});

/** A path and headers as they are: fetch would tidy them up first. */
function raw(path: string, headers: Readonly<Record<string, string>> = {}): Promise<{ status: number; text: string }> {
  const { hostname, port } = new URL(edge.origin);
  return new Promise((resolve, reject) => {
    const asked = request({ hostname, port, path, headers, timeout: 5_000 }, (res) => {
      let text = "";
      res.setEncoding("utf8");
      res.on("data", (chunk: string) => (text += chunk));
      res.on("end", () => resolve({ status: res.statusCode ?? 0, text }));
    });
    asked.on("error", reject);
    asked.end();
  });
}
