import { findChromium } from "@codex/testkit";
import { describe, expect, test } from "@jest/globals";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

const quiet = (): void => undefined;

/** A program that says what the text says, whatever it is asked. */
async function withProgram(says: string, run: (folder: string) => Promise<void>): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), "codex-chromium-"));
  try {
    writeFileSync(join(folder, "chromium"), `#!/bin/sh\necho '${says}'\n`, { mode: 0o755 });
    await run(folder);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

describe("looking for a Chromium", () => {
  test("given one in a folder of PATH, then it is that one", async () => {
    await withProgram("Chromium 156.0.8078.79", async (folder) => {
      expect(await findChromium(quiet, { givenPath: "", folders: ["/nothing", folder] })).toBe(
        join(folder, "chromium"),
      );
    });
  });

  test("given none on the machine and no way to install it, then one sentence with the command that helps, and never a silent skip", async () => {
    const found = findChromium(quiet, { givenPath: "", folders: ["/nothing"], applications: [], mayInstall: false });
    await expect(found).rejects.toMatchObject({ name: "MissingProgramError" });
    await expect(found).rejects.toThrow(/^No Chromium on this machine.*(install|CHROMIUM_PATH)/);
  });

  test("given a program of that name which is no Chromium, then it is not taken", async () => {
    await withProgram("Command requires the chromium snap to be installed.", async (folder) => {
      const found = findChromium(quiet, { givenPath: "", folders: [folder], applications: [], mayInstall: false });
      await expect(found).rejects.toThrow("No Chromium");
    });
  });

  test("given a CHROMIUM_PATH that does not run, then it says so and looks no further", async () => {
    const found = findChromium(quiet, { givenPath: "/nothing/chromium" });
    await expect(found).rejects.toThrow("CHROMIUM_PATH is /nothing/chromium");
  });
});
