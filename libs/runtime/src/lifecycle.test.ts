import { afterEach, describe, expect, test } from "@jest/globals";
import { commonConfig, commonFields, type CommonConfig } from "./common-config.ts";
import { defineConfig, loadConfig } from "./config.ts";
import { launch, startInProcess, type InProcessService } from "./lifecycle.ts";
import { silentLogger } from "./logger.ts";

const spec = defineConfig({
  service: "sample",
  fields: commonFields,
  build: (values) => ({ common: commonConfig(values) }),
});
const config: { common: CommonConfig } = loadConfig(spec, {
  NODE_ENV: "test",
  HTTP_PORT: "0",
  ADMIN_PORT: "0",
  SHUTDOWN_GRACE_MS: "0",
});
let open: InProcessService | undefined;

afterEach(async () => {
  await open?.stop().catch(() => undefined);
  open = undefined;
});

describe("a service inside this process", () => {
  test("given a start, then it runs with its ports, and stop closes in reverse and aborts the signal first", async () => {
    const seen: string[] = [];
    open = await startInProcess({
      name: "sample",
      config,
      start: (ctx) => {
        expect(ctx.signal.aborted).toBe(false);
        ctx.scope.defer("database", () => void seen.push(`database, aborted ${String(ctx.signal.aborted)}`));
        ctx.scope.defer("http", () => void seen.push(`http, aborted ${String(ctx.signal.aborted)}`));
        ctx.health.addCheck("database", () => Promise.resolve());
        ctx.telemetry.meter.createCounter("things").add(3);
        return Promise.resolve({ httpPort: 1, httpUrl: "http://127.0.0.1:1" });
      },
    });
    expect(open).toMatchObject({ httpPort: 1, httpUrl: "http://127.0.0.1:1" });
    const admin = `http://127.0.0.1:${String(open.adminPort)}`;
    expect((await fetch(`${admin}/readyz`)).status).toBe(200);
    expect(await (await fetch(`${admin}/metrics`)).text()).toContain("things_total 3");
    await Promise.all([open.stop(), open.stop()]);
    expect(seen).toEqual(["http, aborted true", "database, aborted true"]);
    expect(open.closedOrder).toEqual(["http", "database", "admin listener", "telemetry"]);
    await expect(fetch(`${admin}/livez`)).rejects.toThrow();
  });

  test("given a start that fails, then its own error comes out after everything is closed, and the signal is aborted", async () => {
    const closed: string[] = [];
    let signal: AbortSignal | undefined;
    const starting = startInProcess({
      name: "sample",
      config,
      start: (ctx) => {
        signal = ctx.signal;
        ctx.scope.defer("first", () => void closed.push("first"));
        return Promise.reject(new Error("cannot open second"));
      },
    });
    await expect(starting).rejects.toThrow("cannot open second");
    expect(closed).toEqual(["first"]);
    expect(signal?.aborted).toBe(true);
  });

  test("given a closer that fails, then stop rejects with its name and the others are closed", async () => {
    open = await startInProcess({
      name: "sample",
      config,
      start: (ctx) => {
        ctx.scope.defer("bad", () => {
          throw new Error("stuck");
        });
        return Promise.resolve({});
      },
    });
    await expect(open.stop()).rejects.toThrow("sample: failed to close: bad");
    expect(open.closedOrder).toEqual(["bad", "admin listener", "telemetry"]);
  });

  test("given a stop while an acquisition of start is on its way, then what it still opens is closed, not leaked", async () => {
    const closed: string[] = [];
    let starting: () => void = () => undefined;
    const inStart = new Promise<void>((resolve) => (starting = resolve));
    const launched = launch({
      name: "sample",
      config,
      logger: silentLogger,
      start: async (ctx) => {
        starting();
        await new Promise((resolve) => {
          ctx.signal.addEventListener("abort", resolve);
        });
        // A connection that was being opened when the stop came is there a few turns of the event loop later.
        for (let turn = 0; turn < 5; turn += 1) await new Promise((resolve) => setImmediate(resolve));
        ctx.scope.defer("late", () => void closed.push("late"));
        return {};
      },
    });
    await inStart;
    expect(await launched.stop()).toEqual([]);
    await launched.started;
    expect(closed).toEqual(["late"]);
    expect(launched.closedOrder).toEqual(["late", "admin listener", "telemetry"]);
  });
});
