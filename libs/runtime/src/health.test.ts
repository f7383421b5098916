import { createServer, request } from "node:http";
import type { AddressInfo } from "node:net";
import { connect } from "node:net";
import { afterEach, describe, expect, test } from "@jest/globals";
import { startAdminServer, type AdminServer } from "./admin-server.ts";
import { Health } from "./health.ts";

describe("readiness", () => {
  test("given passing checks, then it is ready only between started and draining", async () => {
    const health = new Health();
    health.addCheck("database", () => Promise.resolve());
    expect(await health.report()).toMatchObject({ ready: false, state: "starting" });
    health.setStarted();
    expect(await health.report()).toMatchObject({
      ready: true,
      state: "started",
      checks: [{ name: "database", ok: true }],
    });
    health.setDraining();
    health.setStarted();
    expect(await health.report()).toMatchObject({ ready: false, state: "draining" });
  });

  test("given a failing check, then it is named; critical takes the service out, the other does not", async () => {
    const health = new Health();
    health.setStarted();
    health.addCheck("redis", () => Promise.reject(new Error("gone\nredis://u:hunter2@h")), { critical: false });
    expect(await health.report()).toMatchObject({
      ready: true,
      checks: [{ name: "redis", ok: false, critical: false }],
    });
    expect((await health.report()).checks[0]?.error).toBe("gone\\u000aredis://[redacted]@h");
    health.addCheck("database", () => {
      throw new Error("thrown, not rejected");
    });
    expect(await health.report()).toMatchObject({
      ready: false,
      checks: [{}, { name: "database", error: "thrown, not rejected" }],
    });
    expect(() => {
      health.addCheck("database", () => Promise.resolve());
    }).toThrow("registered twice");
  });

  test("given a check that hangs, then it fails at its bound, is not started again, and recovers when it answers", async () => {
    const health = new Health();
    health.setStarted();
    let calls = 0;
    let answer: () => void = () => undefined;
    health.addCheck("bus", () => new Promise((resolve) => ((calls += 1), (answer = resolve))), { timeoutMs: 30 });
    for (let probe = 0; probe < 3; probe += 1) {
      expect(await health.report()).toMatchObject({ ready: false, checks: [{ error: "no answer within 30 ms" }] });
    }
    expect(calls).toBe(1);
    const next = health.report();
    answer();
    expect(await next).toMatchObject({ ready: true });
  });

  test("given draining begins during a report, then that report is not ready", async () => {
    const health = new Health();
    health.setStarted();
    let answer: () => void = () => undefined;
    health.addCheck("bus", () => new Promise((resolve) => (answer = resolve)));
    const report = health.report();
    health.setDraining();
    answer();
    expect((await report).ready).toBe(false);
  });

  test("given many probes at once, then a check runs once", async () => {
    const health = new Health();
    let calls = 0;
    health.addCheck("bus", async () => {
      calls += 1;
      await Promise.resolve();
    });
    await Promise.all(Array.from({ length: 50 }, () => health.report()));
    expect(calls).toBe(1);
  });
});

describe("admin listener", () => {
  let admin: AdminServer | undefined;
  const health = new Health();
  let metrics: () => Promise<string> = () => Promise.resolve("a_total 1\n");

  afterEach(async () => {
    await admin?.close();
    admin = undefined;
  });

  async function start(): Promise<string> {
    admin = await startAdminServer({ host: "127.0.0.1", port: 0, health, metricsText: () => metrics() });
    return `http://127.0.0.1:${String(admin.port)}`;
  }

  test("given each path and method, then the answer has the right status, type and body", async () => {
    const url = await start();
    const get = async (path: string, method = "GET"): Promise<[number, string | null, string]> => {
      const response = await fetch(`${url}${path}`, { method });
      return [response.status, response.headers.get("content-type"), await response.text()];
    };
    expect(await get("/livez")).toEqual([200, "text/plain; charset=utf-8", "ok\n"]);
    expect(await get("/startupz")).toEqual([503, "text/plain; charset=utf-8", "starting\n"]);
    expect((await get("/readyz"))[0]).toBe(503);
    health.setStarted();
    expect((await get("/startupz"))[0]).toBe(200);
    expect(JSON.parse((await get("/readyz?verbose"))[2])).toEqual({ ready: true, state: "started", checks: [] });
    expect(await get("/metrics")).toEqual([200, "text/plain; version=0.0.4; charset=utf-8", "a_total 1\n"]);
    expect(await get("/metrics", "HEAD")).toEqual([200, "text/plain; version=0.0.4; charset=utf-8", ""]);
    expect((await get("/"))[0]).toBe(404);
    expect((await get("/livez/../secret"))[0]).toBe(404);
    expect((await get("/livez", "POST"))[0]).toBe(405);
    metrics = () => Promise.reject(new Error("collector broke"));
    expect(await get("/metrics")).toEqual([500, "text/plain; charset=utf-8", "failed\n"]);
  });

  test("given a taken port, then the rejection names the setting", async () => {
    const other = createServer();
    await new Promise<void>((resolve) => other.listen(0, "127.0.0.1", resolve));
    const { port } = other.address() as AddressInfo;
    await expect(startAdminServer({ host: "127.0.0.1", port, health, metricsText: () => metrics() })).rejects.toThrow(
      `cannot listen on 127.0.0.1:${String(port)} (ADMIN_PORT)`,
    );
    other.close();
  });

  test("given an open connection that says nothing, when closed, then it ends within its bound, twice as once", async () => {
    const url = new URL(await start());
    const socket = connect(Number(url.port), url.hostname);
    await new Promise((resolve) => socket.once("connect", resolve));
    const half = request({ host: url.hostname, port: url.port, path: "/livez", method: "POST" });
    half.on("error", () => undefined);
    half.write("half");
    const beganMs = performance.now();
    await Promise.all([admin?.close(), admin?.close()]);
    expect(performance.now() - beganMs).toBeLessThan(3_000);
    socket.destroy();
    half.destroy();
  });
});
