import { generateApiKey, hashApiKey } from "@codex/kernel";
import type { InProcessService } from "@codex/runtime";
import { leakCheck } from "@codex/testkit";
import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { createSign, generateKeyPairSync } from "node:crypto";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { send, startWorld, type Answer, type World } from "./_world.ts";

// SEC-39: anybody who has found a key may say so. The registry behind it is a stand-in that keeps what it was told.

const path = "/v1/security/key-report";
const leaks = leakCheck();
const folder = mkdtempSync(join(tmpdir(), "codex-report-"));
const { privateKey, publicKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
const stranger = generateKeyPairSync("ec", { namedCurve: "P-256" });
let world: World;
/** Knows a reporter who signs. */
let signed: InProcessService;

beforeAll(async () => {
  const file = join(folder, "signers.json");
  const key = publicKey.export({ type: "spki", format: "pem" });
  writeFileSync(file, JSON.stringify({ public_keys: [{ key_identifier: "known", key, is_current: true }] }));
  world = await startWorld({ GATEWAY_KEY_REPORTS_PER_MINUTE: "5", TRUSTED_PROXY_COUNT: "1" });
  signed = await world.startGateway({ GATEWAY_KEY_REPORT_SIGNERS_FILE: file });
}, 60_000);
afterAll(async () => {
  await world.stop();
  rmSync(folder, { recursive: true });
  await leaks.assertClean();
}, 30_000);

let addresses = 0;
const freshAddress = (): string => `192.0.2.${String((addresses += 1))}`;
const report = (body: unknown, address = freshAddress()): Promise<Answer> =>
  send(world.gateway, "POST", path, { headers: { "x-forwarded-for": address }, body });
const reported = (key: string) => world.keys.reports.filter(({ keyHash }) => keyHash === hashApiKey(key));

describe("given somebody who found a key", () => {
  test("200: when the key itself is sent, then the registry hears its hash, and the answer is the same for one that never was", async () => {
    const { apiKey } = world.customer(1n);
    const unknown = generateApiKey("cx", "live");
    const answers = [await report({ key: apiKey }), await report({ key: ` ${unknown}\n` })];
    expect(answers.map(({ status, body }) => [status, body])).toEqual([
      [200, { object: "key_report", received: 1 }],
      [200, { object: "key_report", received: 1 }],
    ]);
    for (const key of [apiKey, unknown])
      expect(reported(key)).toEqual([{ keyHash: hashApiKey(key), via: "holder", foundAt: null }]);
  });

  test("200: when a list is sent as scanners do, then what is no key of ours is left out, and nobody's word is taken on where it was", async () => {
    const { apiKey } = world.customer(1n);
    const url = "https://evil.example/click-here";
    const answer = await report([
      { token: apiKey, type: "codex_api_key", url, source: "content" },
      { token: "ghp_not_ours", type: "other" },
    ]);
    expect(answer).toMatchObject({ status: 200, body: { received: 1 } });
    expect(reported(apiKey)).toEqual([{ keyHash: hashApiKey(apiKey), via: "holder", foundAt: null }]);
  });

  test("400: when the text has a wrong checksum or is no key, then it says so, and the registry is not asked", async () => {
    const { apiKey } = world.customer(1n);
    const before = world.keys.reports.length;
    const last = apiKey.endsWith("a") ? "b" : "a";
    for (const key of [apiKey.slice(0, -1), apiKey.slice(0, -1) + last, "sk-proj-abc", "' or 1=1 --", ""])
      expect(await report({ key })).toMatchObject({ status: 400, body: { error: { code: "invalid_request" } } });
    expect(world.keys.reports.length).toBe(before);
  });

  test.each([
    ["no JSON", "key=1", "application/json", 400, "malformed_json"],
    ["a name twice", '{"key":"a","key":"b"}', "application/json", 400, "malformed_json"],
    ["another form", '{"keys":["a"]}', "application/json", 400, "invalid_request"],
    ["an empty list", "[]", "application/json", 400, "invalid_request"],
    ["a list of 101", JSON.stringify(Array(101).fill({ token: "a" })), "application/json", 400, "invalid_request"],
    ["a form", "key=1", "application/x-www-form-urlencoded", 415, "unsupported_media_type"],
    ["too much", `"${"x".repeat(300_000)}"`, "application/json", 413, "request_too_large"],
  ])("given %s, then it is refused", async (_what, text, type, status, code) => {
    const headers = { "content-type": type, "x-forwarded-for": freshAddress() };
    const answer = await send(world.gateway, "POST", path, { headers, body: text });
    expect(answer).toMatchObject({ status, body: { error: { code } } });
  });

  test("405: given another method, then it names the right one", async () => {
    const answer = await send(world.gateway, "GET", path, {});
    expect(answer).toMatchObject({ status: 405, body: { error: { code: "method_not_allowed" } } });
    expect(answer.headers.get("allow")).toBe("POST");
  });

  test("429: when one address reports more than its share, then the rest is refused, and another address is heard", async () => {
    const address = freshAddress();
    const statuses: number[] = [];
    for (let turn = 0; turn < 8; turn += 1)
      statuses.push((await report({ key: generateApiKey("cx", "live") }, address)).status);
    expect(statuses.filter((status) => status === 200).length).toBeLessThanOrEqual(6);
    expect(statuses.at(-1)).toBe(429);
    expect((await report({ key: generateApiKey("cx", "live") })).status).toBe(200);
  });
});

describe("given a reporter who signs, as GitHub does", () => {
  const sign = (text: string, key = privateKey): string => createSign("sha256").update(text).sign(key, "base64");
  const sendSigned = (text: string, signature: string, id = "known", to = signed): Promise<Answer> =>
    send(to, "POST", path, {
      body: text,
      headers: {
        "content-type": "application/json",
        "github-public-key-identifier": id,
        "github-public-key-signature": signature,
        "x-forwarded-for": "198.51.100.1",
      },
    });
  const found = (apiKey: string, url: string): string => JSON.stringify([{ token: apiKey, type: "codex", url }]);

  test("200: when the signature is good, then where it was found goes with it, and reports are not counted by address", async () => {
    const url = "https://github.com/octo/repo/blob/main/.env";
    for (let turn = 0; turn < 10; turn += 1) {
      const { apiKey } = world.customer(1n);
      const text = found(apiKey, url);
      expect((await sendSigned(text, sign(text))).status).toBe(200);
      expect(reported(apiKey)).toEqual([{ keyHash: hashApiKey(apiKey), via: "github", foundAt: url }]);
    }
    const { apiKey } = world.customer(1n);
    const odd = found(apiKey, "javascript:alert(1)");
    expect((await sendSigned(odd, sign(odd))).status).toBe(200);
    expect(reported(apiKey)).toMatchObject([{ foundAt: null }]);
  });

  test("403: when it is forged, of other text, of a stranger, or signatures are not set up, then nothing is done", async () => {
    const { apiKey } = world.customer(1n);
    const text = found(apiKey, "https://github.com/octo");
    const answers = [
      await sendSigned(text, sign(text, stranger.privateKey)),
      await sendSigned(text, sign(`${text} `)),
      await sendSigned(text, "AAAA"),
      await sendSigned(text, ""),
      await sendSigned(text, sign(text), "unknown"),
      await sendSigned(text, sign(text), "known", world.gateway),
    ];
    for (const answer of answers)
      expect(answer).toMatchObject({ status: 403, body: { error: { code: "report_signature_invalid" } } });
    expect(reported(apiKey)).toEqual([]);
  });
});

test.each([
  ["is not there", undefined],
  ["is no JSON", "{"],
  ["holds no key", '{"public_keys":[{"key_identifier":"a","key":"x"}]}'],
])("given a file of signers that %s, then the gateway does not start, and names it", async (_what, text) => {
  const file = join(folder, "bad.json");
  rmSync(file, { force: true });
  if (text !== undefined) writeFileSync(file, text);
  await expect(world.startGateway({ GATEWAY_KEY_REPORT_SIGNERS_FILE: file })).rejects.toThrow(/bad\.json/);
});
