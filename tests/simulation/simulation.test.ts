import { describe, expect, test } from "@jest/globals";
import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";

// In a process of its own: the simulation puts its own clock and disk in the place of Node's.
const program = fileURLToPath(new URL("main.ts", import.meta.url));

function simulate(...args: readonly string[]): { readonly status: number | null; readonly stdout: string } {
  const { status, stdout, stderr } = spawnSync(process.execPath, ["--conditions=codex:source", program, ...args], {
    encoding: "utf8",
    timeout: 170_000,
    env: {},
  });
  return { status, stdout: stdout + stderr };
}

describe("the simulation of gateway, lease and ledger", () => {
  test("given sixty histories full of faults, when the faults stop, then every served request was charged once and no money is missing", () => {
    expect(simulate("--seeds", "60")).toEqual({ status: 0, stdout: expect.stringMatching(/^60 seeds, 0 broken/) });
  }, 180_000);

  test("given a seed, when it is played twice, then the two histories are the same", () => {
    const played = ["--seed", "7"] as const;
    const without = (text: string): string => text.replace(/ in [\d.]+ s/, "");
    expect(without(simulate(...played).stdout)).toBe(without(simulate(...played).stdout));
  }, 60_000);

  test.each(["free-at-expiry", "close-without-fence", "no-dedupe"])(
    "given a ledger that is wrong (%s), when it is simulated, then it is found out",
    (defect) => {
      const { status, stdout } = simulate("--seeds", "12", "--defect", defect);
      expect(stdout).toContain("replay: npm run simulate -- --seed");
      expect(status).toBe(1);
    },
    60_000,
  );
});
