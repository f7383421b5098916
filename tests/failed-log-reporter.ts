import { existsSync, readdirSync, readFileSync } from "node:fs";
import path from "node:path";
import { testLogFolder } from "./test-log-folder.ts";

const root = path.resolve(import.meta.dirname, "..");
const linesPerTestMax = 20;
const testsMax = 25;
const lineLengthMax = 2_000;

/** The part of Jest's result of one file that is read here. */
interface FileResult {
  readonly testFilePath: string;
  readonly testExecError?: unknown;
  readonly testResults: readonly { readonly fullName: string; readonly status: string }[];
}

/** A line that belongs to nothing that failed is not printed, so only these two are looked at. */
interface Origin {
  readonly testFile?: string;
  readonly test?: string;
}

/**
 * After the run, prints for each failed test what the services it started had said (warnings and errors), and what they said
 * before the first test of its file: at most 20 lines a test, 25 tests. A run without failures prints nothing.
 */
// eslint-disable-next-line no-restricted-syntax -- Jest loads the default export.
export default class FailedLogReporter {
  private readonly failed: { readonly file: string; readonly test: string }[] = [];

  onTestResult(_test: unknown, result: FileResult): void {
    const file = result.testFilePath;
    const failed = result.testResults.filter(({ status }) => status === "failed");
    if (result.testExecError !== undefined && failed.length === 0) this.failed.push({ file, test: "" });
    for (const { fullName } of failed) this.failed.push({ file, test: fullName });
  }

  onRunComplete(): void {
    if (this.failed.length === 0) return;
    const lines = readLines();
    const output = this.failed.slice(0, testsMax).flatMap(({ file, test }) => {
      const own = lines.filter(({ origin }) => origin.testFile === file && (origin.test ?? test) === test);
      if (own.length === 0) return [];
      const left = own.length - linesPerTestMax;
      return [
        `\nWhat services said: ${path.relative(root, file)} › ${test}`,
        ...own.slice(-linesPerTestMax).map(({ text }) => `  ${text.slice(0, lineLengthMax)}`),
        ...(left > 0 ? [`  … and ${left} lines before these, in ${testLogFolder}`] : []),
      ];
    });
    if (output.length > 0) process.stderr.write(`${output.join("\n")}\n`);
  }
}

function readLines(): { readonly text: string; readonly origin: Origin }[] {
  if (!existsSync(testLogFolder)) return [];
  return readdirSync(testLogFolder).flatMap((name) =>
    readFileSync(path.join(testLogFolder, name), "utf8")
      .split("\n")
      .filter((text) => text !== "")
      .map((text) => ({ text, origin: parseOrigin(text) })),
  );
}

/** The last line of a killed worker may be cut. */
function parseOrigin(text: string): Origin {
  try {
    return JSON.parse(text) as Origin;
  } catch {
    return {};
  }
}
