import { disputeDetail, operatorDisputeDetail } from "@codex/contracts";
import { newId } from "@codex/kernel";
import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { repliesMax } from "../src/app/dispute.ts";
import { book, expectSoundBooks, Person } from "./_operations.ts";
import { fund, startWorld, type World } from "./_util.ts";

const own = "/api/billing/disputes";
const queue = "/api/billing/operator/disputes";
let world: World;
let finance: Person;

beforeAll(async () => {
  world = await startWorld({ DISPUTE_WINDOW_DAYS: "3650" });
  finance = await Person.of(world, "finance");
});
afterAll(() => world.stop());

interface Case {
  readonly user: Person;
  readonly disputeId: string;
}

async function disputed(): Promise<Case> {
  const user = await Person.of(world);
  await fund(world, user.accountId, { paid: 100_000n });
  const [requestId] = await book(world, user.accountId, [{ input: 10, output: 1 }]);
  const answer = await user.post(own, { requestId, reason: "no_answer", text: "Nothing came back." });
  const { disputeId } = answer.body["dispute"] as { disputeId: string };
  return { user, disputeId };
}

const reply = ({ user, disputeId }: Case, text: string, key?: string) =>
  user.post(`${own}/${disputeId}/messages`, { text }, key);

async function wordsOf({ user, disputeId }: Case): Promise<(readonly [string, string | null])[]> {
  const { events } = disputeDetail.parse((await user.get(`${own}/${disputeId}`)).body);
  return events.map(({ by, text }) => [by, text] as const);
}

describe("POST /api/billing/disputes/:disputeId/messages", () => {
  test("200: given an open dispute, when user and operator write in turn, then both sides see one timeline in order", async () => {
    const dispute = await disputed();
    expect((await finance.post(`${queue}/${dispute.disputeId}/messages`, { text: "Which client?" })).status).toBe(200);
    expect(await reply(dispute, "  The official one.  ")).toMatchObject({
      status: 200,
      body: { dispute: { disputeId: dispute.disputeId, state: "open" } },
    });
    expect(await wordsOf(dispute)).toEqual([
      ["user", "Nothing came back."],
      ["operator", "Which client?"],
      ["user", "The official one."],
    ]);
    const seen = operatorDisputeDetail.parse((await finance.get(`${queue}/${dispute.disputeId}`)).body);
    expect(seen.events.at(-1)).toMatchObject({
      kind: "message",
      by: "user",
      actorId: dispute.user.accountId,
      text: "The official one.",
    });
    await expectSoundBooks(world);
  });

  test("given the same key with the same words, with others, and a race, then it stands in the timeline once", async () => {
    const dispute = await disputed();
    const key = newId("evt");
    const answers = await Promise.all(Array.from({ length: 5 }, () => reply(dispute, "Once.", key)));
    expect(answers.map(({ status }) => status)).toEqual([200, 200, 200, 200, 200]);
    expect(await reply(dispute, "Twice.", key)).toMatchObject({
      status: 409,
      body: { code: "idempotency_key_reused" },
    });
    expect((await wordsOf(dispute)).filter(([, text]) => text === "Once.")).toHaveLength(1);
  });

  test("409: given as many messages as it takes, written at once, then one more is refused, and the operator still can answer", async () => {
    const dispute = await disputed();
    const answers = await Promise.all(
      Array.from({ length: repliesMax + 3 }, (_value, index) => reply(dispute, `Message ${String(index)}`)),
    );
    const refused = answers.filter(({ status }) => status !== 200);
    expect(refused).toHaveLength(3);
    for (const answer of refused)
      expect(answer).toMatchObject({ status: 409, body: { code: "dispute_message_limit" } });
    expect((await finance.post(`${queue}/${dispute.disputeId}/messages`, { text: "Enough." })).status).toBe(200);
    expect(await wordsOf(dispute)).toHaveLength(1 + repliesMax + 1);
  });

  test.each([
    ["nothing", ""],
    ["white space", "  \n "],
    ["more than 2,000 characters", "x".repeat(2_001)],
    ["a NUL", "a\u0000b"],
  ])("400: given %s, then it is refused and the timeline stays", async (_name, text) => {
    const dispute = await disputed();
    expect((await reply(dispute, text)).status).toBe(400);
    expect(await wordsOf(dispute)).toHaveLength(1);
  });

  test("409: given a dispute that has ended, when the user writes, then it is refused", async () => {
    const dispute = await disputed();
    await dispute.user.post(`${own}/${dispute.disputeId}/withdraw`, {});
    expect(await reply(dispute, "Wait.")).toMatchObject({ status: 409, body: { code: "dispute_closed" } });
  });

  test("404: given a foreign dispute and a missing one, when somebody writes, then the answers are the same", async () => {
    const { disputeId } = await disputed();
    const user = await Person.of(world);
    const answers = [
      await reply({ user, disputeId }, "Hello"),
      await reply({ user, disputeId: newId("dsp") }, "Hello"),
    ];
    const [foreign, missing] = answers.map(({ status, body }) => ({
      status,
      body: { ...body, requestId: "", instance: "" },
    }));
    expect(foreign).toMatchObject({ status: 404 });
    expect(foreign).toEqual(missing);
  });
});
