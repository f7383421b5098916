import {
  problem,
  voucherBatchCreated,
  voucherBatchList,
  voucherBatchResponse,
  voucherRedeemed,
} from "@codex/contracts";
import { idToUuid, newId, type AccountId, type VoucherBatchId } from "@codex/kernel";
import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import pg from "pg";
import { brokenInvariants } from "./_invariants.ts";
import { send, withoutRequestId, type PageAnswer } from "./_page.ts";
import { balanceOf, startWorld, type World } from "./_util.ts";

const path = "/api/billing/operator/voucher-batches";
let world: World;
beforeAll(async () => {
  // Ten tokens.
  world = await startWorld({ VOUCHER_FOUR_EYES_ABOVE_MICRO_TOKENS: "10000000" });
});
afterAll(async () => {
  expect(await brokenInvariants((text, values) => world.query(text, values))).toEqual([]);
  await world.stop();
});

interface Operator {
  readonly accountId: AccountId;
  readonly cookie: string;
}

async function operator(role: "finance" | "admin" | "support" = "finance"): Promise<Operator> {
  const accountId = newId("acc");
  return { accountId, cookie: await world.auth.signIn(accountId, role) };
}

function create(who: Operator, amount: string, count = 2, key: string = newId("evt")): Promise<PageAnswer> {
  const ask = { count, amount, bucket: "bonus", expiresAt: null, maxPerAccount: 2, note: "", reason: "campaign" };
  return send(world, "POST", path, who.cookie, ask, { "idempotency-key": key });
}

interface Made {
  readonly batchId: VoucherBatchId;
  readonly codes: readonly string[];
  readonly state: string;
}

async function made(who: Operator, amount: string, count = 2): Promise<Made> {
  const { batch, codes } = voucherBatchCreated.parse((await create(who, amount, count)).body);
  return { batchId: batch.batchId, codes: codes ?? [], state: batch.state };
}

const approve = (who: Operator, batchId: string, key: string = newId("evt")): Promise<PageAnswer> =>
  send(world, "POST", `${path}/${batchId}/approve`, who.cookie, { reason: "looked at it" }, { "idempotency-key": key });

const redeem = (who: { readonly cookie: string }, code: string | undefined): Promise<PageAnswer> =>
  send(world, "POST", "/api/billing/vouchers/redeem", who.cookie, { code });

const refusal = (answer: PageAnswer): readonly [number, string] => [answer.status, problem.parse(answer.body).code];

describe("a batch above the limit of one operator", () => {
  test("given it waits, when a code is redeemed, then the answer is that of a code that nobody issued; approved, it is paid", async () => {
    const [maker, second, user] = [await operator(), await operator("admin"), await operator()];
    const { batchId, codes, state } = await made(maker, "5.000001");
    expect(state).toBe("proposed");
    const waiting = await redeem(user, codes[0]);
    expect(refusal(waiting)).toEqual([404, "voucher_invalid"]);
    expect(withoutRequestId(waiting)).toEqual(withoutRequestId(await redeem(user, "CX-00000-00000-00000-00000-0000")));
    const answer = await approve(second, batchId);
    expect(answer.status).toBe(200);
    const { batch } = voucherBatchResponse.parse(answer.body);
    expect(batch).toMatchObject({ state: "open", createdBy: maker.accountId, approvedBy: second.accountId });
    expect(voucherRedeemed.parse((await redeem(user, codes[0])).body)).toMatchObject({ amount: 5_000_001n });
    expect((await balanceOf(world, user.accountId)).bonusMicroTokens).toBe(5_000_001n);
    const acts = await world.query("select act, reason from voucher_act where batch_id = $1 order by id", [
      idToUuid(batchId),
    ]);
    expect(acts).toEqual([
      { act: "created", reason: "campaign" },
      { act: "approved", reason: "looked at it" },
    ]);
  });

  test("given exactly the limit, then it is open at once and takes no approval", async () => {
    const maker = await operator();
    const { batchId, codes, state } = await made(maker, "5");
    expect(state).toBe("open");
    expect(refusal(await approve(await operator(), batchId))).toEqual([409, "conflict"]);
    expect((await redeem(await operator(), codes[0])).status).toBe(200);
  });

  test("given many small batches of one operator, one after the other and at once, then together they stay below the limit", async () => {
    const maker = await operator();
    const answers = await Promise.all(Array.from({ length: 8 }, () => create(maker, "2", 1)));
    const states = answers.map((answer) => voucherBatchCreated.parse(answer.body).batch.state);
    expect(states.filter((state) => state === "open")).toHaveLength(5);
    expect(states.filter((state) => state === "proposed")).toHaveLength(3);
    expect((await made(maker, "0.000001", 1)).state).toBe("proposed");
    expect((await made(await operator(), "2", 1)).state).toBe("open");
  });

  test("given it was made long ago, then it does not count any more", async () => {
    const maker = await operator();
    await world.query(
      `insert into voucher_batch (id, bucket, amount, total, max_per_account, note, created_by, created_at)
        values (uuid_v7(), 'bonus', 10000000, 1, 1, '', $1, now() - interval '25 hours')`,
      [idToUuid(maker.accountId)],
    );
    expect((await made(maker, "10", 1)).state).toBe("open");
  });

  test("given a replica of the version before, when it makes a batch of any size, then it waits for an approval", async () => {
    const batchId = newId("vcb");
    await world.query(
      `select create_voucher_batch($1, sha256('a'), $2, $3, 'bonus', 1, 1, null, '', 'campaign', array[sha256('code')])`,
      [newId("evt"), idToUuid(batchId), idToUuid(newId("acc"))],
    );
    const { batches } = voucherBatchList.parse((await world.get(path, (await operator()).cookie)).body);
    expect(batches.find((batch) => batch.batchId === batchId)?.state).toBe("proposed");
  });
});

describe("POST /api/billing/operator/voucher-batches/:batchId/approve", () => {
  test("403: given the maker, a support operator and a user, when they approve, then they are refused and nothing is paid", async () => {
    const maker = await operator();
    const { batchId, codes } = await made(maker, "9");
    expect(refusal(await approve(maker, batchId))).toEqual([403, "second_operator_required"]);
    expect((await approve(await operator("support"), batchId)).status).toBe(403);
    const user = { accountId: newId("acc"), cookie: await world.auth.signIn(newId("acc")) };
    expect((await approve(user, batchId)).status).toBe(403);
    expect(refusal(await redeem(await operator(), codes[0]))).toEqual([404, "voucher_invalid"]);
  });

  test("given maker and approver, when they redeem a code of it, then neither can", async () => {
    const [maker, second] = [await operator(), await operator()];
    const { batchId, codes } = await made(maker, "9");
    expect((await approve(second, batchId)).status).toBe(200);
    for (const who of [maker, second]) expect(refusal(await redeem(who, codes[0]))).toEqual([404, "voucher_invalid"]);
  });

  test("200 and 409: given the same key again, another key, and a race, then it is approved once", async () => {
    const { batchId } = await made(await operator(), "9");
    const second = await operator();
    const key = newId("evt");
    const first = await approve(second, batchId, key);
    const again = await approve(second, batchId, key);
    expect([first.status, again.status]).toEqual([200, 200]);
    expect(withoutRequestId(again)).toEqual(withoutRequestId(first));
    expect(refusal(await approve(second, batchId))).toEqual([409, "conflict"]);
    const other = await made(await operator(), "9");
    const eyes = await Promise.all(Array.from({ length: 5 }, () => operator()));
    const raced = await Promise.all(eyes.map((who) => approve(who, other.batchId)));
    expect(raced.map(({ status }) => status).sort()).toEqual([200, 409, 409, 409, 409]);
  });

  test("409 and 404: given a revoked batch and one that is not there, when they are approved, then nothing changes", async () => {
    const [maker, second] = [await operator(), await operator()];
    const { batchId } = await made(maker, "9");
    const revoked = await send(
      world,
      "POST",
      `${path}/${batchId}/revoke`,
      second.cookie,
      { reason: "no campaign" },
      {
        "idempotency-key": newId("evt"),
      },
    );
    expect(voucherBatchResponse.parse(revoked.body).batch.state).toBe("revoked");
    expect(refusal(await approve(second, batchId))).toEqual([409, "conflict"]);
    expect((await approve(second, newId("vcb"))).status).toBe(404);
  });

  test("given the owner of the tables, when the maker is written as the approver, then a constraint refuses", async () => {
    const { batchId } = await made(await operator(), "9");
    const owner = new pg.Client({
      connectionString: world.database.urlFor("owner", "billing"),
      options: "-c search_path=billing",
    });
    await owner.connect();
    try {
      await expect(
        owner.query("update voucher_batch set approved_by = created_by, approved_at = now() where id = $1", [
          idToUuid(batchId),
        ]),
      ).rejects.toMatchObject({ code: "23514", constraint: "voucher_batch_four_eyes" });
    } finally {
      await owner.end();
    }
  });
});
