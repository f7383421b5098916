import { eventually } from "@codex/testkit";
import { describe, expect, test } from "@jest/globals";
import OpenAI from "openai";
import type { Locator } from "playwright-core";
import { password } from "../e2e/_browser.ts";
import { eachOnStage } from "./_scene.ts";
import type { Stage, Visitor } from "./_stage.ts";

// What an owner does about keys, in a real browser, with the gateway as the judge of what a key can do. Repeat display is on.

let stage: Stage;
let visitor: Visitor;
eachOnStage(
  { keySettings: { KEY_DISPLAY_KEY: "h1x9-Kq7_Zr4mT2wVb8nY5sLd3hGf6jPc0e" } },
  (scene) => ({ stage, visitor } = scene),
);
const newEmail = (): string => stage.newEmail("owner");

const dialog = (name: string): Locator => visitor.page.getByRole("dialog", { name });
const row = (name: string): Locator => visitor.page.getByTestId("key").filter({ hasText: name });
const button = (name: string): Locator => visitor.page.getByRole("button", { name, exact: true });

/** A new owner with money, on the page of keys. */
async function owner(): Promise<void> {
  const accountId = await visitor.join(newEmail());
  await stage.grant(accountId, 1_000_000_000n);
  await visitor.sees("Доступно 1 000,00 токена", 10_000);
  await visitor.page.getByRole("link", { name: "Ключи" }).click();
  await button("Создать ключ").waitFor();
}

/** By the form as it is filled in; answers the key that is shown. */
async function created(name: string, tags = ""): Promise<string> {
  const { page } = visitor;
  await page.getByLabel("Название").fill(name);
  if (tags !== "") {
    if (!(await page.getByLabel("Метки").isVisible())) await button("Ограничения и метки").click();
    await page.getByLabel("Метки").fill(tags);
  }
  await button("Создать ключ").click();
  return saved();
}

async function saved(): Promise<string> {
  const shown = dialog("Ваш новый ключ");
  await shown.waitFor();
  const secret = await visitor.page.getByTestId("secret").innerText();
  await shown.getByRole("button", { name: "Я сохранил ключ" }).click();
  await shown.waitFor({ state: "detached" });
  return secret;
}

/** 200, or the status of the gateway's refusal. */
async function answerTo(apiKey: string, model = "demo-small"): Promise<number> {
  const client = new OpenAI({ baseURL: `${stage.world.origin}/v1`, apiKey, maxRetries: 0, timeout: 20_000 });
  try {
    await client.chat.completions.create({ model, messages: [{ role: "user", content: "Привет" }] });
    return 200;
  } catch (error) {
    if (error instanceof OpenAI.APIError && typeof error.status === "number") return error.status;
    throw error;
  }
}

const becomes = (apiKey: string, status: number): Promise<unknown> =>
  eventually(async () => (await answerTo(apiKey)) === status, {
    timeoutMs: 10_000,
    what: `the key to be answered with ${String(status)}`,
  });

interface KeptKey extends Readonly<Record<string, unknown>> {
  readonly name: string;
}

/** As the service has it. */
async function kept(name: string): Promise<KeptKey> {
  const body = await visitor.page.evaluate<{ keys: KeptKey[] }>(`fetch("/api/keys").then((answer) => answer.json())`);
  const found = body.keys.find((key) => key.name === name);
  if (!found) throw new Error(`no key ${name}`);
  return found;
}

describe("restrictions", () => {
  test("what is typed is what is kept and what the gateway holds; changed, one is lifted and the others stay", async () => {
    const { page } = visitor;
    await owner();
    await page.getByLabel("Название").fill("Сервер");
    await button("Ограничения и метки").click();
    await page.getByLabel("Среда").selectOption("test");
    await page.getByLabel("Метки").fill("ci,  ночь , ");
    await page.getByLabel("Действует до").fill("2099-01-31T12:30");
    await page.getByLabel("В день").fill("1 000,5");
    await page.getByLabel("В месяц").fill("10000");
    await page.getByLabel("Всего").fill("20000.000001");
    await page.getByLabel("Запросов в минуту").fill("60");
    await page.getByLabel("Токенов модели в минуту").fill("100 000");
    await page.getByLabel("Запросов одновременно").fill("2");
    await page.getByLabel("Модели", { exact: true }).fill("demo-small\n\nno-such-model-yet");
    await page.getByLabel("Адреса").fill("127.0.0.0/8\n::1");
    await button("Создать ключ").click();
    const secret = await saved();
    expect(secret).toMatch(/^cx_test_/);
    const end = await page.evaluate<string>(`new Date("2099-01-31T12:30").toISOString()`);
    expect(await kept("Сервер")).toMatchObject({
      environment: "test",
      tags: ["ci", "ночь"],
      expiresAt: end,
      caps: { daily: "1000.500000", monthly: "10000.000000", total: "20000.000001" },
      limits: { requestsPerMinute: 60, tokensPerMinute: 100_000, concurrentRequests: 2 },
      models: ["demo-small", "no-such-model-yet"],
      allowedIps: ["127.0.0.0/8", "::1"],
    });
    const shown = (await row("Сервер").innerText()).replace(/\s+/g, " ");
    for (const text of [
      "тестовая",
      "ночь",
      "В день: 1 000,5",
      "Всего: 20 000,000001",
      "127.0.0.0/8, ::1",
      "до 31.01.2099",
    ])
      expect(shown).toContain(text);
    expect(await answerTo(secret)).toBe(200);
    expect(await answerTo(secret, "demo-large")).toBe(403);

    await button("Изменить: Сервер").click();
    const change = dialog("Изменить ключ");
    await change.getByLabel("Модели", { exact: true }).fill("");
    await change.getByLabel("Запросов в минуту").fill("61");
    await change.getByRole("button", { name: "Сохранить" }).click();
    await change.waitFor({ state: "detached" });
    expect(await kept("Сервер")).toMatchObject({
      tags: ["ci", "ночь"],
      caps: { daily: "1000.500000", monthly: "10000.000000", total: "20000.000001" },
      limits: { requestsPerMinute: 61, tokensPerMinute: 100_000, concurrentRequests: 2 },
      models: null,
      expiresAt: end,
    });
    await eventually(async () => (await answerTo(secret, "demo-large")) === 200, {
      timeoutMs: 10_000,
      what: "the gateway to hear of the change",
    });
  }, 240_000);

  test("what makes no sense is named at its field, nothing is sent, and nothing that was typed is lost", async () => {
    const { page } = visitor;
    await owner();
    const sent: string[] = [];
    page.on("request", (request) => {
      if (request.method() === "POST") sent.push(request.url());
    });
    await page.getByLabel("Название").fill("Ключ");
    await button("Ограничения и метки").click();
    await page.getByLabel("Действует до").fill("2001-01-01T00:00");
    await page.getByLabel("В день").fill("много");
    await page.getByLabel("Запросов одновременно").fill("1,5");
    await page.getByLabel("Адреса").fill("10.0.0.1\n300.1.1.1");
    // A reader that folds the fields away sees them again when one of them is wrong.
    await button("Свернуть").click();
    await button("Создать ключ").click();
    await visitor.sees("Выберите время в будущем");
    for (const label of ["Действует до", "В день", "Запросов одновременно", "Адреса"])
      expect({ label, invalid: await page.getByLabel(label, { exact: true }).getAttribute("aria-invalid") }).toEqual({
        label,
        invalid: "true",
      });
    for (const label of ["Метки", "В месяц", "Модели"])
      expect({
        label,
        invalid: await page.getByLabel(label, { exact: true }).getAttribute("aria-invalid"),
      }).not.toEqual({
        label,
        invalid: "true",
      });
    expect(sent).toEqual([]);
    expect(await page.getByLabel("В день").inputValue()).toBe("много");
    await page.getByLabel("Действует до").fill("");
    await page.getByLabel("В день").fill("5");
    await page.getByLabel("Запросов одновременно").fill("");
    await page.getByLabel("Адреса").fill("10.0.0.1");
    await button("Создать ключ").click();
    expect(await answerTo(await saved())).toBe(403);
  }, 240_000);

  test("an end that has come, and one that is put off; the last use and its program", async () => {
    const { page } = visitor;
    await owner();
    await expect(row("Ключ").count()).resolves.toBe(0);
    const secret = await created("Ключ");
    await row("Ключ").getByText("не использовался").waitFor();
    expect(await answerTo(secret)).toBe(200);
    await eventually(async () => (await kept("Ключ"))["lastUsedAt"] !== null, {
      timeoutMs: 60_000,
      everyMs: 500,
      what: "the gateway to report the use",
    });
    await stage.sql("update keys.api_key set expires_at = now() - interval '1 minute' where name = 'Ключ'");
    await page.reload();
    await row("Ключ").getByText("истёк").waitFor();
    expect(await row("Ключ").innerText()).toMatch(/\d\d:00.\d\d:00\s+openai \(Node\.js\)/);
    expect(await button("Заменить: Ключ").count()).toBe(0);
    await button("Изменить: Ключ").click();
    await dialog("Изменить ключ").getByLabel("Действует до").fill("");
    await dialog("Изменить ключ").getByRole("button", { name: "Сохранить" }).click();
    await row("Ключ").getByText("активен").waitFor();
  }, 240_000);
});

describe("rolling a key", () => {
  test("asks who it is, goes on, and both keys work for the time that the owner chose; at once ends the old one", async () => {
    const { page } = visitor;
    visitor.allow(/status of 401 .*\/roll$/);
    await owner();
    const first = await created("Сборка", "ci");
    await stage.ageProofs();
    await button("Заменить: Сборка").click();
    await dialog("Заменить ключ").getByLabel("Старый ключ работает ещё").selectOption("3600");
    await dialog("Заменить ключ").getByRole("button", { name: "Заменить" }).click();
    const proof = dialog("Подтвердите, что это вы");
    await proof.locator("input[autocomplete=current-password]").fill(password);
    await proof.getByRole("button", { name: "Продолжить" }).click();
    await visitor.sees(/Старый ключ работает до \d\d\.\d\d\.\d{4}/);
    const second = await saved();
    expect(second).not.toBe(first);
    await row("Сборка").getByText("заменён, ещё работает").waitFor();
    expect(await row("Сборка").count()).toBe(2);
    expect(await button("Изменить: Сборка").count()).toBe(1);
    expect([await answerTo(first), await answerTo(second)]).toEqual([200, 200]);

    await button("Заменить: Сборка").click();
    await dialog("Заменить ключ").getByLabel("Старый ключ работает ещё").selectOption("0");
    await dialog("Заменить ключ").getByRole("button", { name: "Заменить" }).click();
    await visitor.sees("Старый ключ больше не работает.");
    const third = await saved();
    await becomes(second, 401);
    expect([await answerTo(first), await answerTo(third)]).toEqual([200, 200]);
    expect(await page.content()).not.toContain(third);
  }, 240_000);
});

describe("showing a key again (SEC-42)", () => {
  const show = async (name: string): Promise<void> => {
    await button(`Показать: ${name}`).click();
    await dialog("Показать ключ").getByRole("button", { name: "Показать ключ" }).click();
  };
  const secretOnPage = (): Locator => visitor.page.getByTestId("secret");
  const close = async (): Promise<void> => {
    await visitor.page.keyboard.press("Escape");
    await dialog("Показать ключ").waitFor({ state: "detached" });
  };

  test("after a proof it is shown and copied, and hides itself after a minute and when the reader turns away", async () => {
    const { page, context } = visitor;
    visitor.allow(/status of 401 .*\/show$/);
    await context.grantPermissions(["clipboard-read", "clipboard-write"]);
    await page.clock.install();
    await owner();
    const secret = await created("Ноутбук");
    await stage.ageProofs();

    await show("Ноутбук");
    await dialog("Подтвердите, что это вы").waitFor();
    await page.keyboard.press("Escape");
    await visitor.sees("Подтвердите, что это вы, и повторите.");
    expect(await page.content()).not.toContain(secret);

    await dialog("Показать ключ").getByRole("button", { name: "Показать ключ" }).click();
    const proof = dialog("Подтвердите, что это вы");
    await proof.locator("input[autocomplete=current-password]").fill(password);
    await proof.getByRole("button", { name: "Продолжить" }).click();
    await secretOnPage().waitFor();
    expect(await secretOnPage().innerText()).toBe(secret);
    await dialog("Показать ключ").getByRole("button", { name: "Скопировать" }).click();
    await visitor.sees("Скопировано");
    expect(await page.evaluate("navigator.clipboard.readText()")).toBe(secret);
    await page.clock.fastForward(50_000);
    expect(await secretOnPage().count()).toBe(1);
    await page.clock.fastForward(11_000);
    await secretOnPage().waitFor({ state: "detached" });
    expect(await page.content()).not.toContain(secret);

    await dialog("Показать ключ").getByRole("button", { name: "Показать ключ" }).click();
    await secretOnPage().waitFor();
    // What the browser says when another tab covers this one.
    await page.evaluate(`(() => {
      Object.defineProperty(document, "visibilityState", { configurable: true, get: () => "hidden" });
      document.dispatchEvent(new Event("visibilitychange"));
    })()`);
    await secretOnPage().waitFor({ state: "detached" });
    expect(await page.content()).not.toContain(secret);
    await close();
    expect(await page.evaluate("JSON.stringify({ ...localStorage, ...sessionStorage })")).not.toContain(secret);
    expect(await answerTo(secret)).toBe(200);
  }, 240_000);

  test("five times an hour, and a revoked key never", async () => {
    visitor.allow(/status of 429 .*\/show$/);
    await owner();
    const secret = await created("Ключ");
    for (let time = 0; time < 5; time += 1) {
      await show("Ключ");
      await secretOnPage().waitFor();
      expect(await secretOnPage().innerText()).toBe(secret);
      await dialog("Показать ключ").getByRole("button", { name: "Скрыть" }).click();
      await secretOnPage().waitFor({ state: "detached" });
      await close();
    }
    await show("Ключ");
    await visitor.sees("Слишком много запросов.");
    expect(await secretOnPage().count()).toBe(0);
    await close();
    await button("Отозвать: Ключ").click();
    await dialog("Отозвать ключ?").getByRole("button", { name: "Отозвать" }).click();
    await row("Ключ").getByText("отозван").waitFor();
    expect(await button("Показать: Ключ").count()).toBe(0);
  }, 240_000);
});

test("revoking many: by tag and all, listed before and confirmed, and the gateway refuses those and no others", async () => {
  const { page } = visitor;
  await owner();
  const [one, two, other] = [
    await created("Первый", "ci"),
    await created("Второй", "ci, ночь"),
    await created("Третий"),
  ];
  await page.getByLabel("Метка", { exact: true }).selectOption("ночь");
  await row("Первый").waitFor({ state: "detached" });
  await row("Второй").waitFor();
  await page.getByLabel("Метка", { exact: true }).selectOption("");

  const many = dialog("Отозвать несколько ключей?");
  await button("Отозвать несколько").click();
  await many.getByLabel("Да, отозвать эти ключи").check();
  // Another choice has to be confirmed anew.
  await many.getByLabel("Какие ключи").selectOption("ci");
  expect((await many.getByTestId("to-be-revoked").innerText()).split("\n").map((line) => line.split(" ")[0])).toEqual([
    "Второй",
    "Первый",
  ]);
  expect(await many.getByRole("button", { name: "Отозвать: 2" }).isDisabled()).toBe(true);
  await page.keyboard.press("Escape");
  await many.waitFor({ state: "detached" });
  expect(await answerTo(one)).toBe(200);

  await button("Отозвать несколько").click();
  await many.getByLabel("Какие ключи").selectOption("ci");
  await many.getByLabel("Да, отозвать эти ключи").check();
  await many.getByRole("button", { name: "Отозвать: 2" }).click();
  await many.waitFor({ state: "detached" });
  await becomes(one, 401);
  await becomes(two, 401);
  expect(await answerTo(other)).toBe(200);
  await row("Третий").getByText("активен").waitFor();

  await created("Четвёртый");
  await button("Отозвать несколько").click();
  await many.getByLabel("Да, отозвать эти ключи").check();
  await many.getByRole("button", { name: "Отозвать: 2" }).click();
  await many.waitFor({ state: "detached" });
  await becomes(other, 401);
  expect(await page.getByTestId("key").filter({ hasText: "отозван" }).count()).toBe(4);
  expect(await button("Отозвать несколько").count()).toBe(0);
}, 240_000);
