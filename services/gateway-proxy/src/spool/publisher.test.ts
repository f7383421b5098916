import { usagePartitionOf, type SpoolRecord } from "@codex/contracts";
import { ManualClock, newId, type AccountId } from "@codex/kernel";
import { afterEach, beforeEach, describe, expect, jest, test } from "@jest/globals";
import { EpochPublisher, type Envelope } from "./publisher.ts";
import type { StreamState } from "./resend-rule.ts";

beforeEach(() => {
  jest.useFakeTimers();
});

afterEach(() => {
  jest.useRealTimers();
});

const accounts = new Map<number, AccountId>();
while (accounts.size < 16) {
  const accountId = newId("acc");
  accounts.set(usagePartitionOf(accountId), accountId);
}

function accountIn(partition: number): AccountId {
  return accounts.get(partition) ?? newId("acc");
}

function record(seq: number, partition = 3): SpoolRecord {
  return { type: "lease_close", seq, accountId: accountIn(partition), leaseId: newId("lse"), settledMicroTokens: 0n };
}

interface Sending {
  readonly atMs: number;
  readonly envelope: Envelope;
}

type Publish = (envelope: Envelope) => Promise<{ readonly seq: number }>;

/** `publish` answers as the test says at the time of the call; the watermark, the floors and the stream are what the test sets. */
function setUp(publish: Publish) {
  const clock = new ManualClock();
  const sent: Sending[] = [];
  const watermark = new Map<number, number>();
  const positions = new Map<number, { createdMs: number; floor: number }>();
  const stream: StreamState & { createdMs: number; lastSeq: number } = { createdMs: 1_000, lastSeq: 1_000_000 };
  const confirmed: ReadonlyMap<number, number>[] = [];
  const faults: unknown[] = [];
  const again: string[] = [];
  const packed: string[] = [];
  const billing = { up: true };
  const publisher = new EpochPublisher(7, {
    publish: (envelope) => {
      sent.push({ atMs: clock.monotonicMs(), envelope });
      return publish(envelope);
    },
    watermarks: (epoch) =>
      billing.up && epoch === 7
        ? Promise.resolve({ contiguous: new Map(watermark), positions: new Map(positions) })
        : Promise.reject(new Error("billing is away")),
    stream: () => Promise.resolve({ ...stream }),
    onEnvelope: ({ id }) => packed.push(id),
    onConfirmed: (watermarks) => confirmed.push(watermarks),
    onFault: (error) => faults.push(error),
    onSentAgain: (reason, records) => again.push(`${reason} ${String(records)}`),
    monotonicMs: () => clock.monotonicMs(),
  });
  const pass = async (ms: number): Promise<void> => {
    for (let passed = 0; passed < ms; passed += 50) {
      clock.advance(50);
      await jest.advanceTimersByTimeAsync(50);
    }
  };
  return { publisher, sent, again, watermark, positions, stream, confirmed, faults, packed, billing, pass };
}

const refuse = (): Promise<never> => Promise.reject(new Error("no acknowledgement"));
const acknowledge = (): Promise<{ readonly seq: number }> => Promise.resolve({ seq: 10 });

describe("sending again", () => {
  test("given no acknowledgement, then the same envelope goes out after 1, 2, 4, 8, 15, 15 s, under the same id", async () => {
    const { publisher, sent, again, faults, packed, pass } = setUp(refuse);
    publisher.add(record(1));
    await pass(50_000);
    publisher.stop();
    const pauses = sent.slice(1).map(({ atMs }, index) => atMs - (sent[index]?.atMs ?? 0));
    expect(pauses).toEqual([1_000, 2_000, 4_000, 8_000, 15_000, 15_000]);
    expect(new Set(sent.map(({ envelope }) => envelope.id))).toEqual(new Set(["7-3-1-1"]));
    for (const { envelope } of sent) expect(envelope).toEqual(sent[0]?.envelope);
    expect(faults).toHaveLength(sent.length);
    expect(again).toEqual(sent.slice(1).map(() => "unacknowledged 1"));
    expect(packed).toEqual(["7-3-1-1"]);
  });

  test("given an acknowledgement without confirmation, then nothing goes out for a quarter of an hour, however slow billing is", async () => {
    const { publisher, sent, again, positions, pass } = setUp(acknowledge);
    publisher.add(record(1));
    positions.set(3, { createdMs: 1_000, floor: 9 });
    await pass(899_000);
    expect(sent).toHaveLength(1);
    await pass(2_000);
    publisher.stop();
    expect(sent).toHaveLength(2);
    expect(again).toEqual(["overdue 1"]);
  });

  test("given billing has read past an acknowledged envelope and lacks it, then it goes out at once, and then ever more rarely", async () => {
    const { publisher, sent, positions, pass } = setUp(acknowledge);
    publisher.add(record(1));
    await pass(2_000);
    expect(sent).toHaveLength(1);
    positions.set(3, { createdMs: 1_000, floor: 10 });
    await pass(300);
    expect(sent).toHaveLength(2);
    // The stream may still hold the first copy, which billing has passed over, and would drop another one of its id.
    await pass(60_000);
    publisher.stop();
    expect(sent.slice(0, 4).map(({ envelope }) => envelope.id)).toEqual([
      "7-3-1-1",
      "7-3-1-1-r1",
      "7-3-1-1-r2",
      "7-3-1-1-r3",
    ]);
    expect(sent.length).toBeLessThan(10);
  });

  test("given a floor of another stream or partition, then it proves nothing", async () => {
    const { publisher, sent, positions, pass } = setUp(acknowledge);
    publisher.add(record(1));
    positions.set(3, { createdMs: 5_000, floor: 99 });
    positions.set(4, { createdMs: 1_000, floor: 99 });
    await pass(60_000);
    publisher.stop();
    expect(sent).toHaveLength(1);
  });

  test("given one of many envelopes is lost, then it and a bounded number behind it go out, not those that were never passed", async () => {
    let seq = 0;
    const { publisher, sent, positions, watermark, pass } = setUp(() => Promise.resolve({ seq: (seq += 1) }));
    for (let at = 1; at <= 200 * 40; at += 1) publisher.add(record(at));
    await pass(500);
    expect(sent).toHaveLength(40);
    watermark.set(3, 400);
    positions.set(3, { createdMs: 1_000, floor: 5 });
    await pass(500);
    publisher.stop();
    expect(sent.slice(40).map(({ envelope }) => envelope.id)).toEqual([
      "7-3-401-600-r1",
      "7-3-601-800-r1",
      "7-3-801-1000-r1",
    ]);
  });

  test("given billing has a part of a lost envelope, then only the records that it lacks go out again", async () => {
    let seq = 0;
    const { publisher, sent, again, positions, watermark, pass } = setUp(() => Promise.resolve({ seq: (seq += 1) }));
    for (let at = 1; at <= 400; at += 1) publisher.add(record(at));
    await pass(500);
    watermark.set(3, 150);
    positions.set(3, { createdMs: 1_000, floor: 2 });
    await pass(500);
    expect(sent.slice(2).map(({ envelope }) => envelope.id)).toEqual(["7-3-151-200-r1", "7-3-201-400-r1"]);
    expect(sent[2]?.envelope).toMatchObject({ first: 151, last: 200 });
    expect(sent[2]?.envelope.records.map((one) => one.seq)).toEqual(
      Array.from({ length: 50 }, (_value, index) => 151 + index),
    );
    expect(publisher.unconfirmed).toBe(250);
    expect(again).toEqual(["lost 50", "lost 200"]);
    watermark.set(3, 400);
    await pass(500);
    publisher.stop();
    expect(publisher.unconfirmed).toBe(0);
  });

  test("given the stream went back behind an envelope that billing has in part, then the rest goes out, under an id of its own", async () => {
    let seq = 10;
    const { publisher, sent, stream, watermark, pass } = setUp(() => Promise.resolve({ seq }));
    for (let at = 1; at <= 20; at += 1) publisher.add(record(at));
    await pass(2_000);
    watermark.set(3, 5);
    stream.lastSeq = 9;
    seq = 9;
    await pass(3_000);
    publisher.stop();
    expect(sent.map(({ envelope }) => envelope.id)).toEqual(["7-3-1-20", "7-3-6-20"]);
  });

  test("given the stream was made anew, then everything that it had acknowledged goes out again, once", async () => {
    const { publisher, sent, stream, pass } = setUp(acknowledge);
    publisher.add(record(1));
    publisher.add(record(1, 9));
    await pass(2_000);
    expect(sent).toHaveLength(2);
    stream.createdMs = 50_000;
    await pass(3_000);
    expect(sent).toHaveLength(4);
    await pass(60_000);
    publisher.stop();
    expect(sent).toHaveLength(4);
  });

  test("given the stream went back behind an acknowledged envelope, then it goes out again", async () => {
    let seq = 10;
    const { publisher, sent, again, stream, pass } = setUp(() => Promise.resolve({ seq }));
    publisher.add(record(1));
    await pass(2_000);
    stream.lastSeq = 9;
    seq = 9;
    await pass(3_000);
    publisher.stop();
    expect(sent).toHaveLength(2);
    expect(again).toEqual(["gone 1"]);
  });

  test("given the stream went back while billing could not be heard, then only what billing lacks goes out again", async () => {
    let seq = 0;
    const { publisher, sent, stream, billing, watermark, pass } = setUp(() => Promise.resolve({ seq: (seq += 1) }));
    billing.up = false;
    for (let at = 1; at <= 1_000; at += 1) publisher.add(record(at));
    await pass(1_200);
    expect(sent).toHaveLength(5);
    stream.lastSeq = 0;
    watermark.set(3, 800);
    billing.up = true;
    await pass(1_100);
    stream.lastSeq = 100;
    await pass(2_000);
    publisher.stop();
    expect(sent.slice(5).map(({ envelope }) => envelope.id)).toEqual(["7-3-801-1000"]);
  });

  test("given a long outage of the bus before the acknowledgement, then it is sent until it is acknowledged, and no more", async () => {
    let up = false;
    const { publisher, sent, pass } = setUp(() => (up ? acknowledge() : refuse()));
    publisher.add(record(1));
    await pass(40_000);
    up = true;
    await pass(16_000);
    const tries = sent.length;
    await pass(600_000);
    publisher.stop();
    expect(sent).toHaveLength(tries);
  });
});

describe("an earlier life's envelopes", () => {
  test("given their bounds, then they are packed as they were, and what was never sent is packed behind them", async () => {
    const { publisher, sent, again, pass } = setUp(acknowledge);
    publisher.repeat([
      { partition: 3, first: 1, last: 2 },
      { partition: 3, first: 3, last: 7 },
    ]);
    for (let seq = 1; seq <= 9; seq += 1) publisher.add(record(seq));
    await pass(100);
    publisher.stop();
    expect(sent.map(({ envelope }) => envelope.id)).toEqual(["7-3-1-2", "7-3-3-7", "7-3-8-9"]);
    expect(again).toEqual(["restart 2", "restart 5"]);
  });

  test("given billing has some of them, then only the others go out", async () => {
    const { publisher, sent, watermark, pass } = setUp(acknowledge);
    watermark.set(3, 7);
    publisher.repeat([{ partition: 3, first: 3, last: 7 }]);
    for (let seq = 1; seq <= 9; seq += 1) publisher.add(record(seq));
    await pass(100);
    publisher.stop();
    expect(sent.map(({ envelope }) => envelope.id)).toEqual(["7-3-8-9"]);
  });

  test("given billing has all of them, then nothing goes out, and the confirmation is told", async () => {
    const { publisher, sent, watermark, confirmed, pass } = setUp(acknowledge);
    watermark.set(3, 9);
    publisher.repeat([]);
    for (let seq = 1; seq <= 9; seq += 1) publisher.add(record(seq));
    await pass(500);
    publisher.stop();
    expect(sent).toEqual([]);
    expect(publisher.unconfirmed).toBe(0);
    expect(confirmed.at(-1)?.get(3)).toBe(9);
  });

  test("given a gap in the numbers, then no envelope spans it", async () => {
    const { publisher, sent, pass } = setUp(acknowledge);
    for (const seq of [4, 5, 9]) publisher.add(record(seq));
    await pass(100);
    publisher.stop();
    expect(sent.map(({ envelope }) => envelope.id)).toEqual(["7-3-4-5", "7-3-9-9"]);
  });
});

describe("envelopes", () => {
  test("given 950 records of two partitions, then they go out without gaps, at most 200 each, in the order of their numbers", async () => {
    const { publisher, sent, pass } = setUp(acknowledge);
    for (let seq = 1; seq <= 475; seq += 1) {
      publisher.add(record(seq, 3));
      publisher.add(record(seq, 9));
    }
    await pass(100);
    publisher.stop();
    for (const partition of [3, 9]) {
      const envelopes = sent.map(({ envelope }) => envelope).filter((envelope) => envelope.partition === partition);
      expect(envelopes.map(({ first, last }) => [first, last])).toEqual([
        [1, 200],
        [201, 400],
        [401, 475],
      ]);
      for (const { id, first, last, records, epoch } of envelopes) {
        expect(epoch).toBe(7);
        expect(id).toBe(`7-${String(partition)}-${String(first)}-${String(last)}`);
        expect(records.map(({ seq }) => seq)).toEqual(
          Array.from({ length: last - first + 1 }, (_value, at) => first + at),
        );
      }
    }
  });

  test("given a bus that does not answer, then at most 64 are in flight, and the others follow as answers come", async () => {
    const answers: (() => void)[] = [];
    const { publisher, sent, pass } = setUp(() => new Promise((resolve) => answers.push(() => resolve({ seq: 10 }))));
    for (let seq = 1; seq <= 200 * 70; seq += 1) publisher.add(record(seq));
    await pass(30_000);
    expect(sent).toHaveLength(64);
    expect(publisher.unconfirmed).toBe(14_000);
    for (const answer of answers.splice(0)) answer();
    await pass(100);
    publisher.stop();
    expect(sent).toHaveLength(70);
    expect(new Set(sent.map(({ envelope }) => envelope.id)).size).toBe(70);
  });
});

describe("forgetting", () => {
  test("given a watermark, then exactly the envelopes below it are forgotten, by partition", async () => {
    const { publisher, watermark, confirmed, pass } = setUp(acknowledge);
    for (let seq = 1; seq <= 300; seq += 1) publisher.add(record(seq, 3));
    publisher.add(record(1, 9));
    watermark.set(3, 200);
    await pass(400);
    expect(publisher.unconfirmed).toBe(101);
    // In the middle of the second envelope: it stays as a whole.
    watermark.set(3, 299);
    await pass(400);
    expect(publisher.unconfirmed).toBe(101);
    watermark.set(9, 1);
    await pass(400);
    expect(publisher.unconfirmed).toBe(100);
    watermark.set(3, 300);
    await pass(400);
    publisher.stop();
    expect(publisher.unconfirmed).toBe(0);
    expect(confirmed.at(-1)).toEqual(new Map([...watermark]));
  });

  test("given a billing that does not answer, then nothing is forgotten, and each failure is told", async () => {
    const { publisher, billing, faults, pass } = setUp(acknowledge);
    billing.up = false;
    publisher.add(record(1));
    await pass(1_000);
    expect(publisher.unconfirmed).toBe(1);
    expect(faults.length).toBeGreaterThanOrEqual(3);
    publisher.stop();
  });
});

describe("draining", () => {
  test("given billing confirms, then it says true, and at once", async () => {
    const { publisher, watermark, sent, pass } = setUp(acknowledge);
    publisher.add(record(1));
    watermark.set(3, 1);
    let drained: boolean | undefined;
    void publisher.drain(5_000).then((value) => (drained = value));
    await pass(200);
    publisher.stop();
    expect(drained).toBe(true);
    expect(sent).toHaveLength(1);
  });

  test("given billing does not confirm, then it says false at the deadline", async () => {
    const { publisher, pass } = setUp(acknowledge);
    publisher.add(record(1));
    let drained: boolean | undefined;
    void publisher.drain(1_000).then((value) => (drained = value));
    await pass(950);
    expect(drained).toBeUndefined();
    await pass(100);
    publisher.stop();
    expect(drained).toBe(false);
  });

  test("given nothing was ever sent, then it says true without asking anybody", async () => {
    const { publisher, billing } = setUp(acknowledge);
    billing.up = false;
    expect(await publisher.drain(1_000)).toBe(true);
    publisher.stop();
  });
});

test("given it is stopped, then nothing goes out any more", async () => {
  const { publisher, sent, pass } = setUp(refuse);
  publisher.add(record(1));
  await pass(50);
  publisher.stop();
  publisher.add(record(2));
  await pass(20_000);
  expect(sent).toHaveLength(1);
});
