import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { exportDaysMax, monthlyStatement, problem, statementPage, usageList } from "@codex/contracts";
import { formatAmount, idToUuid, newId, parseAmount, type AccountId, type RequestId } from "@codex/kernel";
import fc from "fast-check";
import { accountIn, fund, startWorld, Worker, type World } from "./_util.ts";

let world: World;
let owner: AccountId;
let cookie: string;
const requests: RequestId[] = [];

const future = "2099-01-01T00:00:00.000Z";

beforeAll(async () => {
  world = await startWorld();
  owner = accountIn(3);
  cookie = await world.auth.signIn(owner);
  await fund(world, owner, { paid: 1_000_000n });
  await fund(world, owner, { bonus: 200n });
  const worker = await Worker.open(world);
  const leaseId = await worker.lease(owner, 50_000n);
  // 145 from the bonus; then two of one batch, 145 + 36: 55 from the bonus, 126 from paid.
  const [first, second, third] = [
    worker.usage(owner, leaseId, { input: 10, output: 2 }),
    worker.usage(owner, leaseId, { input: 10, output: 2 }),
    worker.usage(owner, leaseId, { input: 3, cachedInput: 1 }),
  ] as const;
  await worker.send([first]);
  await worker.confirmed(3, 1);
  await worker.send([second, third]);
  await worker.confirmed(3, 3);
  requests.push(first.requestId, second.requestId, third.requestId);
});
afterAll(() => world.stop());

async function page(query = "", withCookie = cookie) {
  const answer = await world.get(`/api/billing/statement${query}`, withCookie);
  expect(answer.status).toBe(200);
  return statementPage.parse(answer.body);
}

async function csv(path: string, withCookie = cookie): Promise<{ status: number; text: string; headers: Headers }> {
  const answer = await fetch(`${world.service.httpUrl ?? ""}${path}`, {
    headers: { cookie: withCookie },
    signal: AbortSignal.timeout(20_000),
  });
  return { status: answer.status, text: await answer.text(), headers: answer.headers };
}

describe("GET /api/billing/statement", () => {
  test("200: given grants and usage, when it is read, then each movement has its sign, its bucket's balance and the total after it", async () => {
    const { lines, nextCursor } = await page();
    expect(nextCursor).toBeNull();
    expect(
      lines.map(({ kind, bucket, amount, bucketBalance, totalBalance, usageCount }) => [
        kind,
        bucket,
        amount,
        bucketBalance,
        totalBalance,
        usageCount,
      ]),
    ).toEqual([
      ["usage", "paid", -126n, 999_874n, 999_874n, 2],
      ["usage", "bonus", -55n, 0n, 1_000_000n, 2],
      ["usage", "bonus", -145n, 55n, 1_000_055n, 1],
      ["grant", "bonus", 200n, 200n, 1_000_200n, null],
      ["grant", "paid", 1_000_000n, 1_000_000n, 1_000_000n, null],
    ]);
    expect(lines.at(-1)?.reason).toBe("operator_grant");
  });

  test("200: given pages of one and two, when the cursor is followed, then the lines are the same, also when money moves in between", async () => {
    const whole = (await page()).lines;
    for (const limit of [1, 2]) {
      const seen = [];
      let cursor: string | null = null;
      do {
        const part: Awaited<ReturnType<typeof page>> = await page(
          `?limit=${String(limit)}${cursor === null ? "" : `&cursor=${cursor}`}`,
        );
        seen.push(...part.lines);
        cursor = part.nextCursor;
        if (seen.length === limit && limit === 1) await fund(world, owner, { paid: 7n });
      } while (cursor !== null);
      if (limit === 1) expect(seen).toEqual(whole);
      else expect(seen.slice(1)).toEqual(whole);
    }
  });

  test("200: given a period, when it is read, then it holds what was booked from its first instant up to its end", async () => {
    const { lines } = await page();
    const grant = lines.find(({ kind, bucket }) => kind === "grant" && bucket === "bonus");
    const from = grant?.at ?? "";
    const since = await page(`?from=${from}`);
    expect(since.lines.map(({ transferId }) => transferId)).toEqual(
      lines.filter(({ at }) => at >= from).map(({ transferId }) => transferId),
    );
    const until = await page(`?to=${from}`);
    expect(until.lines.map(({ transferId }) => transferId)).toEqual(
      lines.filter(({ at }) => at < from).map(({ transferId }) => transferId),
    );
    expect(until.lines.length).toBeGreaterThan(0);
  });

  test("200: given an account without money, or somebody else's, when it reads, then it sees nothing of others", async () => {
    expect(await page("", await world.auth.signIn(newId("acc")))).toEqual({ lines: [], nextCursor: null });
  });

  test.each([
    ["a cursor that we did not make", "cursor=YWJj", "invalid_cursor"],
    [
      "a cursor beyond the account's movements",
      `cursor=${Buffer.from("900.900").toString("base64url")}`,
      "invalid_cursor",
    ],
    ["a limit beyond the bound", "limit=201", "invalid_request"],
    ["a time that is none", "from=yesterday", "invalid_request"],
    ["a period that ends before it begins", `from=${future}&to=2026-01-01T00:00:00.000Z`, "invalid_request"],
    ["an unknown parameter", "page=2", "invalid_request"],
  ])("400: given %s, when it is read, then the problem has its code", async (_name, query, code) => {
    const answer = await world.get(`/api/billing/statement?${query}`, cookie);
    expect([answer.status, problem.parse(answer.body).code]).toEqual([400, code]);
  });
});

describe("GET /api/billing/statement/:transferId/usage", () => {
  test("200: given a usage movement, when its requests are listed, then they are those of its batch, page by page", async () => {
    const { lines } = await page();
    const batch = lines.filter(({ usageCount }) => usageCount === 2);
    expect(batch).toHaveLength(2);
    for (const { transferId } of batch) {
      const first = usageList.parse(
        (await world.get(`/api/billing/statement/${transferId}/usage?limit=1`, cookie)).body,
      );
      const rest = usageList.parse(
        (await world.get(`/api/billing/statement/${transferId}/usage?limit=1&cursor=${first.nextCursor ?? ""}`, cookie))
          .body,
      );
      expect([...first.usage, ...rest.usage].map(({ requestId }) => requestId)).toEqual([requests[2], requests[1]]);
      expect(rest.nextCursor).toBeNull();
    }
    const sum = batch.reduce((total, { amount }) => total + amount, 0n);
    expect(sum).toBe(-181n);
  });

  test("404: given a grant, somebody else's movement and one that does not exist, when their requests are listed, then the answers are the same", async () => {
    const { lines } = await page();
    const usage = lines.find(({ kind }) => kind === "usage");
    const grant = lines.find(({ kind }) => kind === "grant");
    const stranger = await world.auth.signIn(newId("acc"));
    const answers = [
      await world.get(`/api/billing/statement/${usage?.transferId ?? ""}/usage`, stranger),
      await world.get(`/api/billing/statement/${grant?.transferId ?? ""}/usage`, cookie),
      await world.get(`/api/billing/statement/${newId("trf")}/usage`, cookie),
    ].map(({ status, body }) => ({ status, body: { ...body, requestId: "" } }));
    expect(answers[0]).toMatchObject({ status: 404, body: { code: "not_found" } });
    expect(answers[1]).toEqual(answers[0]);
    expect(answers[2]).toEqual(answers[0]);
  });
});

describe("GET /api/billing/statements/:month", () => {
  const month = (at: Date): string => at.toISOString().slice(0, 7);

  test("200: given movements, when the month is read, then the sums by kind lead from the opening to the closing balance", async () => {
    const now = new Date();
    const answer = await world.get(`/api/billing/statements/${month(now)}`, cookie);
    const statement = monthlyStatement.parse(answer.body);
    expect(statement).toMatchObject({ month: month(now), final: false, opening: { paid: 0n, bonus: 0n, total: 0n } });
    const usage = statement.sums.filter(({ kind }) => kind === "usage");
    expect(usage.map(({ bucket, amount, count }) => [bucket, amount, count])).toEqual([
      ["paid", -126n, 1],
      ["bonus", -200n, 2],
    ]);
    expect(statement.closing.total).toBe((await page()).lines[0]?.totalBalance);
  });

  test.each(["2026-13", "26-01", "2099-01", "nonsense"])(
    "404: given %s, when it is read, then there is no such month",
    async (bad) => {
      expect(await world.get(`/api/billing/statements/${bad}`, cookie)).toMatchObject({
        status: 404,
        body: { code: "not_found" },
      });
    },
  );

  test("given movements at any times, in any order within seconds, then opening + Σ = closing in every month, and a closing is the next opening", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(
          fc.record({
            bucket: fc.constantFrom("paid", "bonus"),
            amount: fc.integer({ min: 1, max: 1_000 }),
            // Around the turn of a month, with overlaps: a later booking may carry an earlier time.
            gapSeconds: fc.oneof(fc.integer({ min: -2, max: 3 }), fc.integer({ min: 0, max: 1_200_000 })),
          }),
          { minLength: 1, maxLength: 30 },
        ),
        async (steps) => {
          const account = newId("acc");
          await bookHistory(account, steps);
          const own = await world.auth.signIn(account);
          let carried = { paid: 0n, bonus: 0n, total: 0n };
          for (let number = 0; number < 16; number += 1) {
            const at = month(new Date(Date.UTC(2025, number, 1)));
            const statement = monthlyStatement.parse((await world.get(`/api/billing/statements/${at}`, own)).body);
            expect(statement.opening).toEqual(carried);
            for (const bucket of ["paid", "bonus"] as const) {
              const moved = statement.sums
                .filter((sum) => sum.bucket === bucket)
                .reduce((total, { amount }) => total + amount, 0n);
              expect(statement.opening[bucket] + moved).toBe(statement.closing[bucket]);
            }
            carried = statement.closing;
          }
        },
      ),
      { numRuns: 15 },
    );
  });
});

/** Books as the owner of the schema would, with times of the test's choosing; the functions of the ledger cannot choose them. */
async function bookHistory(
  accountId: AccountId,
  steps: readonly { bucket: string; amount: number; gapSeconds: number }[],
): Promise<void> {
  await world.query("select ensure_balance($1)", [idToUuid(accountId)]);
  let atMs = Date.UTC(2025, 0, 31, 23, 59, 55);
  const versions: Record<string, number> = { paid: 0, bonus: 0 };
  const balances: Record<string, number> = { paid: 0, bonus: 0 };
  for (const { bucket, amount, gapSeconds } of steps) {
    atMs = Math.min(atMs + gapSeconds * 1_000, Date.UTC(2026, 2, 1));
    versions[bucket] = (versions[bucket] ?? 0) + 1;
    balances[bucket] = (balances[bucket] ?? 0) + amount;
    await world.query(
      `with t as (
         insert into transfer (id, kind, debit_account_id, credit_account_id, amount, reason, created_at)
         select uuid_v7(), 'grant', o.id, c.id, $3, 'history', $4
         from ledger_account c, ledger_account o
         where c.account_id = $1 and c.kind = 'customer_' || $2 and o.kind = 'promo' and o.shard = 0 and o.account_id is null
         returning id, debit_account_id, credit_account_id
       ), o as (
         update operator_balance set posted = posted - $3, version = version + 1
         from t where ledger_account_id = t.debit_account_id returning posted, version
       )
       insert into entry (ledger_account_id, version, amount, balance_after, transfer_id)
         select credit_account_id, $5, $3::bigint, $6::bigint, id from t
         union all select debit_account_id, o.version, -$3::bigint, o.posted, id from t, o`,
      [idToUuid(accountId), bucket, amount, new Date(atMs), versions[bucket], balances[bucket]],
    );
  }
  await world.query(
    `update balance set paid = $2, paid_version = $3, bonus = $4, bonus_version = $5, version = version + 1 where account_id = $1`,
    [idToUuid(accountId), balances["paid"], versions["paid"], balances["bonus"], versions["bonus"]],
  );
}

describe("CSV", () => {
  const range = `from=2026-01-01T00:00:00.000Z&to=2026-12-31T00:00:00.000Z`;

  test("200: given a statement, when it is exported, then it has a mark, a header, CRLF and the lines of the API, numbers as numbers", async () => {
    const answer = await csv(`/api/billing/statement.csv?${range}`);
    expect([answer.status, answer.headers.get("content-type")]).toEqual([200, "text/csv; charset=utf-8"]);
    expect(answer.headers.get("content-disposition")).toBe(
      'attachment; filename="statement-2026-01-01-2026-12-31.csv"',
    );
    const rows = answer.text.split("\r\n");
    expect(rows.pop()).toBe("");
    // fetch takes the byte order mark away when it decodes; the bytes are looked at below.
    expect(rows[0]).toBe(
      '"time","kind","bucket","amount","bucket_balance","total_balance","transfer_id","usage_count","reason"',
    );
    const { lines } = await page();
    expect(rows.slice(1)).toEqual(
      lines.map((line) =>
        [
          `"${line.at}"`,
          `"${line.kind}"`,
          `"${line.bucket}"`,
          formatAmount(line.amount),
          formatAmount(line.bucketBalance),
          formatAmount(line.totalBalance),
          `"${line.transferId}"`,
          line.usageCount ?? "",
          line.reason === null ? "" : `"${line.reason}"`,
        ].join(","),
      ),
    );
    const bytes = await fetch(`${world.service.httpUrl ?? ""}/api/billing/statement.csv?${range}`, {
      headers: { cookie },
    });
    expect(
      Buffer.from(await bytes.arrayBuffer())
        .subarray(0, 3)
        .toString("hex"),
    ).toBe("efbbbf");
  });

  test("200: given more movements than a page holds, when they are exported, then each comes once and the running total adds up", async () => {
    const account = newId("acc");
    const steps = Array.from({ length: 1_203 }, (_, index) => ({
      bucket: index % 3 === 0 ? "bonus" : "paid",
      amount: (index % 7) + 1,
      gapSeconds: 60,
    }));
    await bookHistory(account, steps);
    const own = await world.auth.signIn(account);
    const answer = await csv(
      `/api/billing/statement.csv?from=2025-01-01T00:00:00.000Z&to=2026-01-01T00:00:00.000Z`,
      own,
    );
    const rows = answer.text
      .trimEnd()
      .split("\r\n")
      .slice(1)
      .toReversed()
      .map((row) => row.split(","));
    expect(rows).toHaveLength(1_203);
    let total = 0n;
    for (const row of rows) {
      total += parseAmount(row[3] ?? "") ?? 0n;
      expect(parseAmount(row[5] ?? "")).toBe(total);
    }
  });

  test("200: given a reason that a spreadsheet would run, when it is exported, then it has an apostrophe in front", async () => {
    const account = newId("acc");
    await bookHistory(account, [{ bucket: "paid", amount: 1, gapSeconds: 0 }]);
    await world.query(
      `with t as (
         insert into transfer (id, kind, debit_account_id, credit_account_id, amount, reason, created_at)
         select uuid_v7(), 'adjustment', c.id, o.id, 1, '=HYPERLINK("http://x";"y")', '2025-02-02'
         from ledger_account c, ledger_account o
         where c.account_id = $1 and c.kind = 'customer_paid' and o.kind = 'promo' and o.shard = 0 and o.account_id is null
         returning id, debit_account_id, credit_account_id
       ), o as (
         update operator_balance set posted = posted + 1, version = version + 1
         from t where ledger_account_id = t.credit_account_id returning posted, version
       ), b as (
         update balance set paid = 0, paid_version = 2 where account_id = $1
       )
       insert into entry (ledger_account_id, version, amount, balance_after, transfer_id)
         select debit_account_id, 2, -1, 0, id from t union all select credit_account_id, o.version, 1, o.posted, id from t, o`,
      [idToUuid(account)],
    );
    const own = await world.auth.signIn(account);
    const answer = await csv(
      `/api/billing/statement.csv?from=2025-01-01T00:00:00.000Z&to=2026-01-01T00:00:00.000Z`,
      own,
    );
    expect(answer.text).toContain(`,-0.000001,0.000000,0.000000,`);
    expect(answer.text).toContain(`"'=HYPERLINK(""http://x"";""y"")"`);
  });

  test("200: given requests, when they are exported, then each is a row with its tokens and its charge, and others' are not", async () => {
    const answer = await csv(`/api/billing/usage.csv?${range}`);
    expect([answer.status, answer.headers.get("content-type")]).toEqual([200, "text/csv; charset=utf-8"]);
    const [header = "", ...rows] = answer.text.trimEnd().split("\r\n");
    expect(header).toContain('"request_id"');
    expect(header).toContain('"tokens_cached_input"');
    expect(rows.map((row) => row.split(",")[1])).toEqual(requests.toReversed().map((id) => `"${id}"`));
    expect(rows[0]).toContain(",0.000036,");
    const stranger = await csv(`/api/billing/usage.csv?${range}`, await world.auth.signIn(newId("acc")));
    expect(stranger.text.trimEnd().split("\r\n")).toHaveLength(1);
  });

  test.each([
    ["no period", ""],
    ["a period of more than a year and a day", `?from=2025-01-01T00:00:00.000Z&to=2026-01-02T00:00:00.001Z`],
    ["an empty period", `?from=${future}&to=${future}`],
  ])("400: given %s, when an export is asked for, then it is refused", async (_name, query) => {
    expect(exportDaysMax).toBe(366);
    for (const path of ["statement.csv", "usage.csv"]) {
      expect(await world.get(`/api/billing/${path}${query}`, cookie)).toMatchObject({
        status: 400,
        body: { code: "invalid_request" },
      });
    }
  });
});

test.each([
  "/api/billing/statement",
  "/api/billing/statements/2026-11",
  "/api/billing/statement.csv?from=2026-01-01T00:00:00.000Z&to=2026-02-01T00:00:00.000Z",
  "/api/billing/usage.csv?from=2026-01-01T00:00:00.000Z&to=2026-02-01T00:00:00.000Z",
  "/api/billing/statement/trf_0000000000000000000000000a/usage",
])("401: given no session, when %s is asked for, then it is refused", async (path) => {
  expect(await world.get(path)).toMatchObject({ status: 401, body: { code: "session_required" } });
});
