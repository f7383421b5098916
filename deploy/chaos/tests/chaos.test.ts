import { describe, expect, test } from "@jest/globals";
import { spawn } from "node:child_process";
import { readdirSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { z } from "zod";

// The command itself, on processes of its own: short here, as long as you like by hand (docs/chaos.md).

const main = path.join(import.meta.dirname, "../src/main.ts");
const outcome = z.looseObject({
  clean: z.boolean(),
  sent: z.number(),
  verdict: z.looseObject({
    delivered: z.number(),
    charged: z.number(),
    lost: z.array(z.string()),
    doubled: z.array(z.string()),
    overspent: z.array(z.string()),
    ledgerDifference: z.string(),
    findings: z.array(z.string()),
  }),
  restless: z.array(z.string()),
});

interface Ended {
  readonly code: number | null;
  readonly output: string;
  readonly complaints: string;
}

/** Runs the command; `interruptAt` sends Ctrl-C when its messages contain that text. */
function chaos(args: readonly string[], interruptAt?: string): Promise<Ended> {
  const child = spawn(process.execPath, ["--conditions=codex:source", main, ...args], {
    stdio: ["ignore", "pipe", "pipe"],
  });
  let [output, complaints, interrupted] = ["", "", false];
  child.stdout.on("data", (piece: Buffer) => (output += piece.toString()));
  child.stderr.on("data", (piece: Buffer) => {
    complaints += piece.toString();
    if (interrupted || interruptAt === undefined || !complaints.includes(interruptAt)) return;
    interrupted = true;
    child.kill("SIGINT");
  });
  return new Promise((resolve) => child.once("close", (code) => resolve({ code, output, complaints })));
}

function folders(): string[] {
  return readdirSync(os.tmpdir()).filter((name) => name.startsWith("codex-chaos-"));
}

const zeros = { lost: [], doubled: [], overspent: [], ledgerDifference: "0", findings: [] };

describe("pnpm chaos", () => {
  test("two gateways race for the last money: exactly three of 500 are admitted, each time", async () => {
    const { code, output, complaints } = await chaos(["--scenario", "race", "--repeats", "5", "--seed", "1", "--json"]);
    expect(complaints).not.toContain("Error");
    const result = outcome.parse(JSON.parse(output));
    expect(result).toMatchObject({ restless: [], sent: 2_500, verdict: { ...zeros, delivered: 15, charged: 15 } });
    expect(code).toBe(0);
  }, 240_000);

  test("money that is idle at a gateway which hears late is not missing at the other one", async () => {
    const { code, output } = await chaos(["--scenario", "race-far", "--repeats", "2", "--seed", "1", "--json"]);
    expect(outcome.parse(JSON.parse(output))).toMatchObject({
      restless: [],
      verdict: { ...zeros, delivered: 6, charged: 6 },
    });
    expect(code).toBe(0);
  }, 240_000);

  test("whatever the seed does to the processes, the books are what the upstream delivered", async () => {
    const { code, output } = await chaos([
      "--seed",
      "7",
      "--minutes",
      "0.25",
      "--rate",
      "50",
      "--workers",
      "1",
      "--json",
    ]);
    const result = outcome.parse(JSON.parse(output));
    expect(result).toMatchObject({ restless: [], verdict: { ...zeros, charged: result.verdict.delivered } });
    expect(result.verdict.delivered).toBeGreaterThan(50);
    expect(code).toBe(0);
  }, 240_000);

  test("Ctrl-C stops and removes everything", async () => {
    const before = folders();
    const { code } = await chaos(["--minutes", "5"], "making a database cluster");
    expect(code).toBe(130);
    expect(folders()).toEqual(before);
  }, 60_000);

  test.each([
    [["--scenario", "nonsense"], "there is no scenario"],
    [["--minutes", "x"], "must be a number"],
    [["--what"], "Unknown option"],
  ])("%j is a usage error", async (args, sentence) => {
    const { code, complaints } = await chaos(args);
    expect(code).toBe(64);
    expect(complaints).toContain(sentence);
  });
});
