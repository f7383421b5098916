import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { request } from "node:http";
import { afterEach, describe, expect, test } from "@jest/globals";
import { TinyProcess } from "./_process.ts";

const running: TinyProcess[] = [];

function spawnTiny(
  settings: Readonly<Record<string, string | undefined>> = {},
  args: readonly string[] = [],
): TinyProcess {
  const tiny = new TinyProcess(settings, args);
  running.push(tiny);
  return tiny;
}

afterEach(async () => {
  for (const tiny of running.splice(0)) {
    tiny.kill("SIGKILL");
    await tiny.exited;
  }
});

async function statusOf(url: string): Promise<number> {
  const response = await fetch(url, { headers: { connection: "close" } });
  await response.arrayBuffer();
  return response.status;
}

/** A request whose end the test decides: the answer comes when `end` is called. */
function openSlowRequest(url: string): { end(): void; answer: Promise<{ status: number | undefined; body: string }> } {
  const req = request(`${url}/slow`, { method: "POST" });
  const answer = new Promise<{ status: number | undefined; body: string }>((resolve, reject) => {
    req.once("error", reject);
    req.once("response", (res) => {
      let body = "";
      res.setEncoding("utf8").on("data", (text: string) => (body += text));
      res.once("end", () => {
        resolve({ status: res.statusCode, body });
      });
    });
  });
  req.write("first half, ");
  return { end: () => req.end("second half"), answer };
}

describe("start and stop of a process", () => {
  test("given a right configuration, when it starts, then one line names the ports and the probes answer", async () => {
    const tiny = spawnTiny({ LOG_LEVEL: "error" });
    const started = await tiny.line("service started");
    expect(started).toMatchObject({
      level: "info",
      service: "tiny",
      port: expect.any(Number),
      adminPort: expect.any(Number),
    });
    expect(tiny.events("service started")).toHaveLength(1);
    const admin = `http://127.0.0.1:${String(started["adminPort"])}`;
    expect(
      await Promise.all(["livez", "startupz", "readyz", "metrics"].map((path) => statusOf(`${admin}/${path}`))),
    ).toEqual([200, 200, 200, 200]);
    tiny.kill("SIGINT");
    expect(await tiny.exited).toEqual({ code: 0, signal: null });
  });

  test("given a slow request, when SIGTERM comes, then readiness fails while work goes on, the answer is whole, and closing runs in reverse", async () => {
    const tiny = spawnTiny({ SHUTDOWN_GRACE_MS: "3000" });
    const started = await tiny.line("service started");
    const url = String(started["url"]);
    const admin = `http://127.0.0.1:${String(started["adminPort"])}`;
    const slow = openSlowRequest(url);
    await tiny.line("slow chunk");
    expect(await statusOf(`${admin}/readyz`)).toBe(200);

    tiny.kill("SIGTERM");
    await tiny.line("service stopping");
    expect(await statusOf(`${admin}/readyz`)).toBe(503);
    expect(await statusOf(`${admin}/livez`)).toBe(200);
    expect(await statusOf(`${url}/work`)).toBe(200);
    expect(tiny.events("http closing")).toHaveLength(0);

    await tiny.line("http closing");
    slow.end();
    expect(await slow.answer).toEqual({ status: 200, body: "first half, second half" });
    expect(await tiny.exited).toEqual({ code: 0, signal: null });
    expect(tiny.closed()).toEqual(["http", "second", "first", "admin listener", "telemetry"]);
    expect(tiny.events("service stopped")).toHaveLength(1);
  });

  test("given a stop in progress, when a second signal comes, then it changes nothing", async () => {
    const tiny = spawnTiny({ SHUTDOWN_GRACE_MS: "300" });
    await tiny.line("service started");
    tiny.kill("SIGINT");
    await tiny.line("service stopping");
    tiny.kill("SIGTERM");
    expect(await tiny.exited).toEqual({ code: 0, signal: null });
    expect(tiny.closed()).toHaveLength(5);
    expect(tiny.events("service stopped")).toHaveLength(1);
  });

  test("given an orderly stop, when an error that nobody catches comes in between, then the exit code is 1", async () => {
    const tiny = spawnTiny({ SHUTDOWN_GRACE_MS: "3000" });
    const started = await tiny.line("service started");
    tiny.kill("SIGTERM");
    await tiny.line("service stopping");
    await statusOf(`${String(started["url"])}/crash`);
    expect(await tiny.exited).toEqual({ code: 1, signal: null });
    expect(tiny.events("service stopped")).toHaveLength(1);
  });

  test("given a start that fails half-way, then what was open closes in reverse and the exit code is 1", async () => {
    const tiny = spawnTiny({ FAULT: "start" });
    expect(await tiny.exited).toEqual({ code: 1, signal: null });
    expect(tiny.closed()).toEqual(["second", "first", "admin listener", "telemetry"]);
    expect(await tiny.line("service failed to start").catch(String)).toMatchObject({
      error: { message: "cannot open third at postgres://[redacted]@db/tiny" },
    });
    expect(tiny.output).not.toContain("hunter2");
    expect(tiny.events("service started")).toHaveLength(0);
  });

  test("given an admin port that is taken, when it starts, then the line names the setting and the exit code is 1", async () => {
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    try {
      const tiny = spawnTiny({ ADMIN_PORT: String((server.address() as AddressInfo).port) });
      expect(await tiny.exited).toEqual({ code: 1, signal: null });
      expect(tiny.output).toContain("(ADMIN_PORT): listen EADDRINUSE");
    } finally {
      server.close();
    }
  });

  test("given a start that hangs, when SIGTERM comes, then start is aborted and what was open closes", async () => {
    const tiny = spawnTiny({ FAULT: "start-hangs" });
    await tiny.line("hanging");
    tiny.kill("SIGTERM");
    expect(await tiny.exited).toEqual({ code: 0, signal: null });
    expect(tiny.closed()).toEqual(["first", "admin listener", "telemetry"]);
  });

  test("given a closer that never ends, when the bound is reached, then the exit is forced with code 1 and a reason", async () => {
    const tiny = spawnTiny({ FAULT: "close-hangs" }, ["--forced-exit-ms=700"]);
    await tiny.line("service started");
    const beganMs = performance.now();
    tiny.kill("SIGTERM");
    expect(await tiny.exited).toEqual({ code: 1, signal: null });
    const tookMs = performance.now() - beganMs;
    expect(tookMs).toBeGreaterThan(600);
    expect(tookMs).toBeLessThan(10_000);
    expect(tiny.events("exit forced")).toMatchObject([{ timeoutMs: 700 }]);
    expect(tiny.closed()).toEqual(["http", "second"]);
  });

  test("given a closer that throws, when it stops, then the others close, the failure is named, and the exit code is 1", async () => {
    const tiny = spawnTiny({ FAULT: "close-throws" });
    await tiny.line("service started");
    tiny.kill("SIGTERM");
    expect(await tiny.exited).toEqual({ code: 1, signal: null });
    expect(tiny.closed()).toEqual(["http", "second", "first", "admin listener", "telemetry"]);
    expect(tiny.events("failed to close")).toMatchObject([
      { name: "first", error: { message: "first does not close" } },
    ]);
  });

  test("given a forgotten timer, when everything has closed, then the process still ends soon and says what was open", async () => {
    const tiny = spawnTiny({ FAULT: "leak" });
    await tiny.line("service started");
    tiny.kill("SIGTERM");
    expect(await tiny.exited).toEqual({ code: 0, signal: null });
    expect(tiny.events("exit forced")).toMatchObject([{ reason: expect.stringContaining("Timeout") }]);
  });

  test("given an error that nobody catches, then it is logged, everything closes in order, and the exit code is 1", async () => {
    const tiny = spawnTiny();
    const started = await tiny.line("service started");
    await statusOf(`${String(started["url"])}/crash`);
    expect(await tiny.exited).toEqual({ code: 1, signal: null });
    expect(tiny.events("uncaught error")).toMatchObject([{ error: { message: "nobody catches this" } }]);
    expect(tiny.closed()).toHaveLength(5);
  });
});

describe("configuration of a process", () => {
  test("given a right configuration, when validated, then it says so, exits 0 and starts nothing", async () => {
    const tiny = spawnTiny({}, ["--validate"]);
    expect(await tiny.exited).toEqual({ code: 0, signal: null });
    expect(tiny.stdout).toBe("tiny: the configuration is valid\n");
    expect(tiny.stderr).toBe("");
  });

  test("given an unknown argument, then it exits 64 and starts nothing", async () => {
    const tiny = spawnTiny({}, ["--valdate"]);
    expect(await tiny.exited).toEqual({ code: 64, signal: null });
    expect(tiny.stderr).toContain("--validate");
  });

  const wrong = {
    HTTP_PORT: "80a",
    SESSION_SECRET: "too-short-9f3b",
    STORE_URL: "mysql://tiny:hunter2hunter2@db/x",
    HASH_SECRET: undefined,
  };

  test.each([
    ["it starts", [], 78],
    ["it is validated", ["--validate"], 1],
  ])(
    "given wrong settings, when %s, then all are named with reason and consequence, and no value is printed",
    async (_when, args, code) => {
      const tiny = spawnTiny(wrong, args);
      expect(await tiny.exited).toEqual({ code, signal: null });
      expect(tiny.stdout).toBe("");
      expect(tiny.stderr).toContain("tiny does not start: 4 settings are wrong.");
      expect(tiny.stderr).toContain("HTTP_PORT is not a whole number in plain digits.\n      tiny cannot run without");
      expect(tiny.stderr).toContain(
        "SESSION_SECRET is too short: 14 bytes where at least 32 are needed.\n      Whoever guesses it",
      );
      expect(tiny.stderr).toContain("HASH_SECRET is not set.");
      expect(tiny.stderr).toContain("STORE_URL has the wrong scheme");
      expect(tiny.stderr).not.toMatch(/9f3b|hunter2|80a|^\s+at /m);
    },
  );

  const twin = "Vb3kq0TzW1yLr8mXc5nPd7sFg2hJa9uE4iRo6tKe";

  test.each([
    ["unset", undefined],
    ["empty", ""],
    ["a known default", "changeme"],
    ["short", "Vb3kq0TzW1yLr8mXc5nPd7sFg2hJa9u"],
    ["the same as another", twin],
  ])("given a secret that is %s, when it starts, then it refuses with 78 and opens nothing", async (_what, value) => {
    const tiny = spawnTiny({ SESSION_SECRET: value, HASH_SECRET: twin });
    expect(await tiny.exited).toEqual({ code: 78, signal: null });
    expect(tiny.stderr).toContain("_SECRET ");
    expect(tiny.output).not.toContain(twin);
    expect(tiny.lines).toHaveLength(0);
  });

  test("given a secret that is put into a log line, then the line holds [secret]", async () => {
    const tiny = spawnTiny();
    expect(await tiny.line("starting")).toMatchObject({ reason: "[secret]" });
  });
});
