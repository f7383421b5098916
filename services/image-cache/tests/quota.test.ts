import { imageQuota } from "@codex/contracts";
import { idToUuid, newId, type AccountId } from "@codex/kernel";
import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { startHarness, type Harness } from "../../auth/tests/_harness.ts";
import { imageCacheConfig, imageMigrations, imagesSchema, start } from "../src/index.ts";

const bytesMax = 2_000_000;
let world: Harness;

beforeAll(async () => {
  world = await startHarness({
    name: "image-cache",
    schema: imagesSchema,
    migrations: imageMigrations,
    config: imageCacheConfig,
    start,
    settings: { IMAGE_ACCOUNT_MAX_BYTES: String(bytesMax) },
  });
});
afterAll(() => world.stop());

const path = "/images/quota";

/** An image that was made an hour before its end. */
async function store(accountId: AccountId, bytes: bigint, endsIn: string): Promise<void> {
  await world.query(
    `insert into asset (id, account_id, content_type, bytes, created_at, expires_at)
     values ($1, $2, 'image/png', $3, now() + $4::interval - interval '1 hour', now() + $4::interval)`,
    [idToUuid(newId("img")), idToUuid(accountId), bytes, endsIn],
  );
}

describe("quota", () => {
  test("200: given images that live, that have expired, and another's, when the quota is read, then only the first count", async () => {
    const [owner, other] = [newId("acc"), newId("acc")];
    await store(owner, 1_000n, "1 minute");
    await store(owner, 234n, "1 day");
    await store(owner, 50_000n, "-1 second");
    await store(owner, 60_000n, "-30 days");
    await store(other, 700_000n, "1 day");
    const answer = await world.send("GET", path, { cookie: await world.auth.signIn(owner) });
    expect(answer.status).toBe(200);
    expect(answer.headers.get("cache-control")).toBe("no-store");
    expect(imageQuota.res.parse(answer.body)).toEqual({ images: 2, bytes: 1_234, bytesMax });
    expect(await world.bus.call(imageQuota, { accountId: owner })).toEqual({ ok: true, value: answer.body });
    expect(await world.bus.call(imageQuota, { accountId: other })).toMatchObject({
      value: { images: 1, bytes: 700_000 },
    });
  });

  test("200: given an account without images, when the quota is read, then it is empty, by HTTP and by RPC", async () => {
    const accountId = newId("acc");
    const answer = await world.send("GET", path, { cookie: await world.auth.signIn(accountId) });
    expect(answer).toMatchObject({ status: 200, body: { images: 0, bytes: 0, bytesMax } });
    expect(await world.bus.call(imageQuota, { accountId })).toEqual({ ok: true, value: answer.body });
  });

  test("200: given more bytes than 32 bits hold, when the quota is read, then they are exact", async () => {
    const accountId = newId("acc");
    await store(accountId, 9_007_199_254_740_000n, "1 day");
    await store(accountId, 991n, "1 day");
    expect(await world.bus.call(imageQuota, { accountId })).toMatchObject({
      value: { bytes: Number.MAX_SAFE_INTEGER },
    });
  });

  test("400, 401, 404 and 405: given what each refuses, when it is sent, then it has its status", async () => {
    const cookie = await world.auth.signIn(newId("acc"));
    const answers = [
      await world.send("GET", `${path}?accountId=${newId("acc")}`, { cookie }),
      await world.send("GET", path),
      await world.send("GET", "/images/nothing", { cookie }),
      await world.send("POST", path, { cookie, body: {} }),
    ];
    expect(answers.map(({ status, body }) => [status, body["code"]])).toEqual([
      [400, "invalid_request"],
      [401, "session_required"],
      [404, "route_not_found"],
      [405, "method_not_allowed"],
    ]);
    expect(answers[3]?.headers.get("allow")).toBe("GET, HEAD");
  });
});

test("given the migrated schema, when it is migrated again, then nothing changes", async () => {
  expect(await world.migrateAgain()).toEqual([]);
});

test("401 and 503: given an ended session and then auth away, when the quota is read, then each is told apart", async () => {
  const cookie = await world.auth.signIn(newId("acc"));
  world.auth.endAll();
  expect((await world.send("GET", path, { cookie })).status).toBe(401);
  await world.auth.stop();
  expect(await world.send("GET", path, { cookie })).toMatchObject({
    status: 503,
    body: { code: "service_unavailable" },
  });
});
