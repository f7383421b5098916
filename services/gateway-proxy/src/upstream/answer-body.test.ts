import { afterEach, beforeEach, describe, expect, jest, test } from "@jest/globals";
import { setImmediate as turn } from "node:timers/promises";
import { AnswerBody } from "./answer-body.ts";

function bodyWithLog(): { readonly body: AnswerBody; readonly log: string[] } {
  const log: string[] = [];
  const body = new AnswerBody({
    pause: () => void log.push("pause"),
    resume: () => void log.push("resume"),
    abort: ({ message }) => void log.push(`abort: ${message}`),
  });
  return { body, log };
}

const kilobytes = (count: number): Buffer => Buffer.alloc(count * 1_024);

describe("reading", () => {
  test("given pieces before and after the reader asks, then those that came together are one, and then the end", async () => {
    const { body } = bodyWithLog();
    body.push(Buffer.from("a"));
    const read: string[] = [];
    const reading = (async () => {
      for await (const piece of body) read.push(piece.toString());
    })();
    await turn();
    body.push(Buffer.from("b"));
    body.push(Buffer.from("c"));
    await turn();
    body.push(Buffer.from("d"));
    body.finish();
    await reading;
    expect(read).toEqual(["a", "bc", "d"]);
    expect(body.take()).toBeUndefined();
    expect(await body.more()).toBe(false);
  });

  test("given a reader that does not read, then the connection is paused once, and goes on when all is read", async () => {
    const { body, log } = bodyWithLog();
    body.push(kilobytes(40));
    body.push(kilobytes(40));
    body.push(kilobytes(40));
    expect(log).toEqual(["pause"]);
    expect(body.take()).toHaveLength(3 * 40 * 1_024);
    expect(log).toEqual(["pause", "resume"]);
  });

  test("given it breaks off, then what had come is read first", async () => {
    const { body } = bodyWithLog();
    body.push(Buffer.from("half"));
    body.fail(new Error("broke"));
    body.push(Buffer.from("late"));
    expect(await body.more()).toBe(true);
    expect(String(body.take())).toBe("half");
    await expect(body.more()).rejects.toThrow("broke");
    await expect(body.all(10)).rejects.toThrow("broke");
  });

  test("given more than may be read whole, then nothing, and the connection is closed", async () => {
    const { body, log } = bodyWithLog();
    body.push(kilobytes(2));
    body.push(kilobytes(2));
    expect(await body.all(3_000)).toBeUndefined();
    expect(log).toEqual(["abort: the answer was not wanted any more"]);
  });

  test("given the reader stops early, then the connection is closed", async () => {
    const { body, log } = bodyWithLog();
    body.push(kilobytes(1));
    for await (const piece of body) {
      expect(piece.length).toBe(1_024);
      break;
    }
    expect(log).toHaveLength(1);
    body.destroy();
    expect(log).toHaveLength(1);
  });
});

describe("what nobody reads", () => {
  beforeEach(() => void jest.useFakeTimers());
  afterEach(() => void jest.useRealTimers());

  test("given little that ends in time, then the connection stays", () => {
    const { body, log } = bodyWithLog();
    body.push(kilobytes(70));
    body.discard(2_000, 1_000);
    body.push(kilobytes(1));
    body.finish();
    jest.advanceTimersByTime(2_000);
    expect(log).toEqual(["pause", "resume"]);
  });

  test.each([
    ["too much", (body: AnswerBody) => body.push(kilobytes(3))],
    ["no end in time", () => jest.advanceTimersByTime(1_001)],
  ])("given %s, then the connection is closed", (_name, happen) => {
    const { body, log } = bodyWithLog();
    body.discard(2_000, 1_000);
    happen(body);
    expect(log).toEqual(["abort: the answer was not wanted any more"]);
  });
});
