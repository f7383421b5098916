import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { balanceResponse, priceList, problem, usageList, usageReceipt } from "@codex/contracts";
import { idToUuid, newId, type AccountId, type RequestId } from "@codex/kernel";
import { accountIn, fund, startWorld, Worker, type World } from "./_util.ts";

let world: World;
let owner: AccountId;
let cookie: string;
const requests: RequestId[] = [];

beforeAll(async () => {
  world = await startWorld();
  owner = accountIn(2);
  cookie = await world.auth.signIn(owner);
  await fund(world, owner, { paid: 2_000_000n, bonus: 150n });
  const worker = await Worker.open(world);
  const leaseId = await worker.lease(owner, 50_000n);
  const records = [
    worker.usage(owner, leaseId, { input: 10, output: 2 }),
    worker.usage(
      owner,
      leaseId,
      { input: 3, cachedInput: 1 },
      { status: "client_closed", streamed: false, firstByteMs: null },
    ),
    worker.usage(
      owner,
      leaseId,
      {},
      { costMicroTokens: 0n, status: "upstream_error", httpStatus: 502, errorCode: "upstream_error" },
    ),
  ];
  requests.push(...records.map((record) => record.requestId));
  await worker.send(records);
  await worker.confirmed(2, 3);
});
afterAll(() => world.stop());

describe("GET /api/billing/balance", () => {
  test("200: given money, usage and a lease, when the owner asks, then paid, bonus, held and available add up", async () => {
    const answer = await world.get("/api/billing/balance", cookie);
    expect(answer.status).toBe(200);
    expect(answer.headers.get("cache-control")).toBe("no-store");
    // 145 + (30 + 1 + 5 = 36) = 181: 150 from bonus, 31 from paid.
    expect(answer.body).toMatchObject({ paid: "1.999969", bonus: "0.000000", held: "0.049819", available: "1.950150" });
    expect(balanceResponse.safeParse(answer.body).success).toBe(true);
  });

  test("200: given an account without any money, when it asks, then it gets zeros", async () => {
    const answer = await world.get("/api/billing/balance", await world.auth.signIn(newId("acc")));
    expect(answer).toMatchObject({ status: 200, body: { paid: "0.000000", available: "0.000000" } });
  });
});

describe("GET /api/billing/usage", () => {
  test("200: given three requests, when the owner lists them, then the newest is first and each has its charge", async () => {
    const answer = await world.get("/api/billing/usage", cookie);
    const list = usageList.parse(answer.body);
    expect(answer.status).toBe(200);
    expect(list.usage.map((line) => line.requestId)).toEqual(requests.toReversed());
    expect(list.usage.map((line) => line.charged)).toEqual([0n, 36n, 145n]);
    expect(list.usage[0]).toMatchObject({ status: "upstream_error", httpStatus: 502, errorCode: "upstream_error" });
    expect(list.nextCursor).toBeNull();
  });

  test("200: given pages of one, when the cursor is followed, then every request comes once and the last page says so", async () => {
    const seen: string[] = [];
    let cursor: string | null = null;
    do {
      const suffix: string = cursor === null ? "" : `&cursor=${cursor}`;
      const page = usageList.parse((await world.get(`/api/billing/usage?limit=1${suffix}`, cookie)).body);
      seen.push(...page.usage.map((line) => line.requestId));
      cursor = page.nextCursor;
    } while (cursor !== null);
    expect(seen).toEqual(requests.toReversed());
  });

  test("200: given another account, when it lists, then it sees none of them", async () => {
    const answer = await world.get("/api/billing/usage", await world.auth.signIn(newId("acc")));
    expect(answer.body).toEqual({ usage: [], nextCursor: null });
  });

  test.each([
    ["a limit beyond the bound", "limit=201", "invalid_request"],
    ["a limit that is no number", "limit=ten", "invalid_request"],
    ["an unknown parameter", "page=2", "invalid_request"],
    ["a cursor that we did not make", "cursor=YWJj", "invalid_cursor"],
  ])("400: given %s, when it is listed, then the problem has its code", async (_name, query, code) => {
    const answer = await world.get(`/api/billing/usage?${query}`, cookie);
    expect(answer.status).toBe(400);
    expect(problem.parse(answer.body).code).toBe(code);
  });
});

describe("GET /api/billing/usage/:requestId", () => {
  test("200: given a charged request, when the owner reads its receipt, then the lines, the price and the transfer are there", async () => {
    const answer = await world.get(`/api/billing/usage/${requests[0]!}`, cookie);
    expect(answer.status).toBe(200);
    const receipt = usageReceipt.parse(answer.body);
    expect(answer.body).toMatchObject({
      priceVersion: world.priceVersion,
      hold: "0.000290",
      charged: "0.000145",
      lines: [
        { class: "input", quantity: 10, rate: "10.000000", exact: "0.000100000000" },
        { class: "output", quantity: 2, rate: "20.000000", exact: "0.000040000000" },
        { class: "request", quantity: 1, rate: "0.000005", exact: "0.000005000000" },
      ],
    });
    const transfers = await world.query<{ kind: string }>(
      `select a.kind from transfer t join ledger_account a on a.id = t.debit_account_id
       where t.id = $1 and a.account_id is not null`,
      [idToUuid(receipt.transferId ?? "")],
    );
    expect(transfers).toEqual([{ kind: "customer_bonus" }]);
  });

  test("200: given a free request, when its receipt is read, then nothing was charged and no transfer is named", async () => {
    const answer = await world.get(`/api/billing/usage/${requests[2]!}`, cookie);
    expect(answer.body).toMatchObject({ charged: "0.000000", transferId: null });
  });

  test("404: given somebody else's request, one that does not exist and one that is no id, when they are read, then the answers are the same", async () => {
    const stranger = await world.auth.signIn(newId("acc"));
    const answers = [
      await world.get(`/api/billing/usage/${requests[0]!}`, stranger),
      await world.get(`/api/billing/usage/${newId("req")}`, stranger),
      await world.get("/api/billing/usage/nonsense", stranger),
    ];
    const bodies = answers.map(({ status, body }) => ({ status, body: { ...body, requestId: "" } }));
    expect(bodies[0]).toMatchObject({ status: 404, body: { code: "not_found" } });
    expect(bodies[1]).toEqual(bodies[0]);
    expect(bodies[2]).toEqual(bodies[0]);
  });
});

describe("GET /api/billing/prices", () => {
  test("200: given imported prices, when anybody asks, then the version in force is listed", async () => {
    const answer = await world.get("/api/billing/prices");
    expect(answer.status).toBe(200);
    expect(priceList.safeParse(answer.body).success).toBe(true);
    expect(answer.body).toMatchObject({
      version: world.priceVersion,
      models: [{ model: "demo-small", input: "10.000000", cacheWrite: "12.500000", perRequest: "0.000005" }],
    });
  });
});

describe("sessions", () => {
  test.each(["/api/billing/balance", "/api/billing/usage", "/api/billing/usage/req_0000000000000000000000000a"])(
    "401: given no session, when %s is asked for, then it is refused",
    async (path) => {
      for (const bad of [undefined, "__Host-cx=nonsense", `${cookie}x`]) {
        const answer = await world.get(path, bad);
        expect(answer).toMatchObject({ status: 401, body: { code: "session_required" } });
      }
    },
  );

  test("404 and 405: given an unknown path or a wrong method, when they are asked for, then the problem says which", async () => {
    expect(await world.get("/api/billing/nothing")).toMatchObject({ status: 404, body: { code: "route_not_found" } });
    const response = await fetch(`${world.service.httpUrl ?? ""}/api/billing/prices`, { method: "POST", body: "{}" });
    expect([response.status, response.headers.get("allow")]).toEqual([405, "GET, HEAD"]);
  });

  test("401: given a session that has ended, when the cookie comes again, then it is refused; auth's row is the truth", async () => {
    const ended = await world.auth.signIn(newId("acc"));
    expect((await world.get("/api/billing/balance", ended)).status).toBe(200);
    world.auth.end();
    expect((await world.get("/api/billing/balance", ended)).status).toBe(401);
  });
});
