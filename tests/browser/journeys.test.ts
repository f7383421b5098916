import { parseAmount } from "@codex/kernel";
import { eventually } from "@codex/testkit";
import { describe, expect, test } from "@jest/globals";
import OpenAI from "openai";
import { Browser } from "../e2e/_browser.ts";
import { eachOnStage } from "./_scene.ts";
import type { Stage, Visitor } from "./_stage.ts";

// What a customer does with the pages, in a real browser against the whole platform.

let stage: Stage;
let visitor: Visitor;
eachOnStage({}, (scene) => ({ stage, visitor } = scene));
const newEmail = (): string => stage.newEmail("visitor");

const focusedTag = (): Promise<string> => visitor.page.evaluate<string>("document.activeElement?.tagName");
const path = (): string => new URL(visitor.page.url()).pathname;
const focused = (): Promise<string> =>
  visitor.page.evaluate<string>(
    `(document.activeElement?.getAttribute("aria-label") ?? document.activeElement?.textContent) || document.activeElement?.tagName`,
  );

test("from sign-up to receipt: balance, key, request, charge, and a revoked key is refused", async () => {
  const { page } = visitor;
  const accountId = await visitor.signUp(newEmail());
  await visitor.sees("Доступно 0,00 токена");

  await stage.grant(accountId, 1_234_567_890_000n);
  await visitor.sees("Доступно 1 234 567,89 токена", 3_000);

  await page.getByRole("link", { name: "Ключи" }).click();
  await page.getByLabel("Название").fill("Ноутбук");
  await page.getByRole("button", { name: "Создать ключ" }).click();
  const dialog = page.getByRole("dialog", { name: "Ваш новый ключ" });
  await dialog.waitFor();
  const apiKey = await page.getByTestId("secret").innerText();
  expect(apiKey).toMatch(/^cx_live_[0-9A-Za-z]{46}$/);
  await page.keyboard.press("Escape");
  await page.mouse.click(5, 5);
  expect(await dialog.isVisible()).toBe(true);
  await dialog.getByRole("button", { name: "Я сохранил ключ" }).click();
  await dialog.waitFor({ state: "detached" });
  expect(await page.content()).not.toContain(apiKey);
  await page.reload();
  await visitor.sees("Ноутбук");
  expect(await page.content()).not.toContain(apiKey);

  const client = new OpenAI({ baseURL: `${stage.world.origin}/v1`, apiKey, maxRetries: 0, timeout: 20_000 });
  const ask = () =>
    client.chat.completions
      .create({ model: "demo-large", messages: [{ role: "user", content: "Привет" }] })
      .withResponse();
  const { data, request_id: requestId } = await ask();
  const { amount } = (data.usage as unknown as { cost_details: { amount: string } }).cost_details;

  await page.getByRole("link", { name: "Журнал" }).click();
  const line = page.getByTestId("usage-line").filter({ hasText: String(requestId) });
  await line.waitFor({ timeout: 5_000 });
  expect(microTokens(await line.getByTestId("charged").innerText())).toBe(parseAmount(amount));
  await line.getByRole("button").click();
  const receipt = page.getByRole("dialog", { name: "Как посчитано" });
  await receipt.getByTestId("exact").first().waitFor();
  const cells = await receipt.getByTestId("exact").all();
  const exact = await Promise.all(cells.map(async (cell) => String(await cell.getAttribute("data-exact"))));
  expect(exact.length).toBeGreaterThanOrEqual(2);
  const sum = exact.reduce((total, text) => total + picoTokens(text), 0n);
  expect((sum + 500_000n) / 1_000_000n).toBe(parseAmount(amount));
  expect(microTokens(await receipt.getByTestId("receipt-charged").innerText())).toBe(parseAmount(amount));
  expect(await receipt.innerText()).toContain(String(requestId));
  await page.keyboard.press("Escape");
  await receipt.waitFor({ state: "detached" });

  await page.getByRole("link", { name: "Ключи" }).click();
  await page.getByRole("button", { name: "Отозвать: Ноутбук" }).click();
  await page.getByRole("dialog", { name: "Отозвать ключ?" }).getByRole("button", { name: "Отозвать" }).click();
  await visitor.sees("отозван");
  const refused = await eventually(
    () =>
      ask().then(
        () => undefined,
        (error: unknown) => error as InstanceType<typeof OpenAI.APIError>,
      ),
    { timeoutMs: 2_000, what: "the revoked key to be refused" },
  );
  expect(refused.status).toBe(401);
}, 60_000);

describe("the session", () => {
  test("given sign-out, then going back shows nothing of the account and the API answers 401", async () => {
    const { page, context } = visitor;
    const email = newEmail();
    await visitor.signUp(email);
    await page.getByRole("link", { name: "Ключи" }).click();
    await visitor.sees("Ключей пока нет");
    expect(await visitor.status("/api/billing/balance")).toBe(200);
    await page.getByRole("button", { name: "Выйти" }).click();
    await page.waitForURL("**/sign-in");
    expect((await context.cookies()).map(({ name }) => name)).toEqual(["__Host-cx-device"]);
    visitor.allow(/status of 401 .*\/api\/billing\/balance$/);
    expect(await visitor.status("/api/billing/balance")).toBe(401);
    for (let step = 0; step < 2; step += 1) {
      await page.goBack();
      await visitor.sees("Вход");
      expect(path()).toMatch(/^\/sign-(in|up)$/);
      expect(await page.content()).not.toContain(email);
      expect(await page.getByTestId("available").count()).toBe(0);
    }
  });

  test("given a wrong password, then the message follows the code of the refusal", async () => {
    visitor.allow(/status of 401 .*\/api\/auth\/sign-in$/);
    const email = newEmail();
    await stage.account(email);
    await visitor.open("/sign-in");
    await visitor.signIn(email, "not the password at all");
    await visitor.sees("E-mail или пароль не подходят.");
    expect(await visitor.text("[role=alert]")).toMatch(/req_[0-9a-z]+/);
    await visitor.signIn(email);
    await visitor.sees("Доступно");
  });

  test("given an e-mail that is taken, then sign-up says what it says to everybody, and its owner has a mail", async () => {
    const { page } = visitor;
    const email = newEmail();
    await stage.account(email);
    await visitor.open("/sign-up");
    await page.locator("input[type=email]").waitFor();
    for (const box of await page.locator("input[type=checkbox]").all()) await box.check();
    await visitor.signIn(email);
    await visitor.sees("Мы отправили письмо на этот адрес.");
    await page.getByRole("link", { name: "письма лежат здесь" }).click();
    await visitor.sees("У вас уже есть аккаунт");
    await visitor.sees(email);
  });

  test("is one cookie, and the one that knows the browser, which scripts cannot read, and storage holds the language only", async () => {
    const { page, context } = visitor;
    await visitor.signUp(newEmail());
    await visitor.sees("Доступно");
    await page.getByText("EN", { exact: true }).click();
    const cookies = await context.cookies();
    expect(cookies.map(({ name }) => name).toSorted()).toEqual(["__Host-cx", "__Host-cx-device"]);
    for (const cookie of cookies) {
      expect(cookie).toMatchObject({ httpOnly: true, secure: true, sameSite: "Strict", path: "/" });
    }
    const stored = await page.evaluate(
      "({ cookie: document.cookie, local: { ...localStorage }, session: { ...sessionStorage } })",
    );
    expect(stored).toEqual({ cookie: "", local: { "codex.language": "en" }, session: {} });
  });

  test("given a token that ran out, then it is renewed and the page goes on", async () => {
    const { page } = visitor;
    visitor.allow(/status of 401 .*\/api\/billing\/balance$/);
    await visitor.join(newEmail());
    let refused = 0;
    await page.route("**/api/billing/balance", async (route) => {
      if (refused > 0) return route.continue();
      refused += 1;
      return route.fulfill({ status: 401, contentType: "application/problem+json", body: sessionRequired });
    });
    const renewal = page.waitForResponse((response) => response.url().endsWith("/api/auth/me"));
    await page.reload();
    await renewal;
    await visitor.sees("Доступно 0,00 токена");
    expect(refused).toBe(1);
    expect(path()).toBe("/");
  });

  test("given a session that ended elsewhere, then the page leads to sign-in and from there back", async () => {
    visitor.allow(/status of 401 .*\/api\/billing\/usage/);
    const email = newEmail();
    await visitor.join(email);
    await visitor.page.getByRole("link", { name: "Журнал" }).click();
    await visitor.sees("Запросов пока не было");
    await visitor.context.clearCookies();
    await visitor.page.waitForURL("**/sign-in?next=*");
    await visitor.sees("Вход");
    expect(await visitor.page.content()).not.toContain(email);
    await visitor.signIn(email);
    await visitor.sees("Запросов пока не было");
    expect(path()).toBe("/usage");
  });
});

describe("addresses", () => {
  test("given a deep link, then it survives a reload; signed out it leads to sign-in and from there back", async () => {
    const email = newEmail();
    await visitor.join(email);
    await visitor.open("/usage");
    await visitor.sees("Журнал запросов");
    await visitor.page.reload();
    await visitor.sees("Журнал запросов");
    expect(await visitor.page.title()).toBe("Журнал запросов · Codex API");

    await visitor.context.clearCookies();
    await visitor.open("/keys");
    await visitor.sees("Вход");
    await visitor.page.getByRole("link", { name: "Нет аккаунта? Создать" }).click();
    await visitor.page.getByRole("link", { name: "Уже есть аккаунт? Войти" }).click();
    await visitor.signIn(email);
    await visitor.sees("Ключей пока нет");
    expect(path()).toBe("/keys");
  });

  test("given an address to go on to that is not one of our pages, then sign-in leads to the overview", async () => {
    const email = newEmail();
    await stage.account(email);
    await visitor.open("/sign-in?next=https://evil.example/");
    await visitor.signIn(email);
    await visitor.sees("Доступно");
    expect(visitor.page.url()).toBe(`${stage.world.origin}/`);
  });

  test("given links between pages, then the page is not loaded anew", async () => {
    await visitor.open("/sign-in");
    await visitor.sees("Вход");
    await visitor.page.evaluate("globalThis.sameDocument = true");
    await visitor.page.getByRole("link", { name: "Нет аккаунта? Создать" }).click();
    await visitor.sees("Новый аккаунт");
    expect(await visitor.page.evaluate("globalThis.sameDocument")).toBe(true);
  });

  test("given an unknown address, then it says so and leads on", async () => {
    await visitor.join(newEmail());
    await visitor.open("/nothing/here");
    await visitor.sees("Такой страницы нет");
    await visitor.page.getByRole("link", { name: "К обзору" }).click();
    await visitor.sees("Доступно");
  });
});

describe("failures", () => {
  test("given a server that does not answer any more, then the last balance stays, marked with its time", async () => {
    visitor.allow(/net::ERR_FAILED/);
    await visitor.join(newEmail());
    await visitor.sees("Доступно 0,00");
    await visitor.page.route("**/api/billing/balance", (route) => route.abort());
    await visitor.sees(/Нет связи с сервером\. Данные на \d/, 15_000);
    expect(await visitor.text()).toContain("Доступно 0,00");
    await visitor.page.unroute("**/api/billing/balance");
    await eventually(async () => !(await visitor.text()).includes("Нет связи"), {
      timeoutMs: 10_000,
      what: "fresh data",
    });
  }, 40_000);

  test("given a service that is down, then the sentence, the request id and a way to retry", async () => {
    visitor.allow(/status of 503/);
    await visitor.join(newEmail());
    const body = problem("service_unavailable", 503);
    await visitor.page.route("**/api/keys", (route) =>
      route.fulfill({ status: 503, contentType: "application/problem+json", body }),
    );
    await visitor.page.getByRole("link", { name: "Ключи" }).click();
    await visitor.sees("Сервис временно недоступен.", 15_000);
    expect(await visitor.text("[role=alert]")).toContain("req_00000000000000000000000001");
    await visitor.page.unroute("**/api/keys");
    await visitor.page.getByRole("button", { name: "Повторить" }).click();
    await visitor.sees("Ключей пока нет");
  }, 40_000);

  test("given a page that cannot be loaded, then the navigation stands and says what to do", async () => {
    visitor.allow(/net::ERR_FAILED|Failed to fetch dynamically imported module|preload|keys-page/);
    await visitor.join(newEmail());
    await visitor.sees("Доступно");
    await visitor.page.route("**/assets/keys-page-*.js", (route) => route.abort());
    await visitor.page.getByRole("link", { name: "Ключи" }).click();
    await visitor.sees("Страница не открылась.");
    await visitor.page.unroute("**/assets/keys-page-*.js");
    await visitor.page.getByRole("link", { name: "Журнал" }).click();
    await visitor.sees("Запросов пока не было");
  });
});

describe("the language", () => {
  test("given the switch, then every text and the page's lang follow, and the choice survives reload and sign-out", async () => {
    const { page } = visitor;
    const email = newEmail();
    await visitor.join(email);
    const lang = (): Promise<string> => page.evaluate<string>("document.documentElement.lang");
    expect(await lang()).toBe("ru");
    await page.getByText("EN", { exact: true }).click();
    await visitor.sees("Available");
    for (const [link, title] of [
      ["Keys", "Keys"],
      ["Requests", "Requests"],
      ["Overview", "Overview"],
    ] as const) {
      await page.getByRole("link", { name: link, exact: true }).click();
      await page.getByRole("heading", { level: 1, name: title }).waitFor();
      expect(await visitor.text()).not.toMatch(/[А-Яа-яЁё]/);
      expect(await page.title()).toBe(`${title} · Codex API`);
    }
    await page.reload();
    await visitor.sees("Available");
    expect(await lang()).toBe("en");
    await page.getByRole("button", { name: "Sign out" }).click();
    await page.getByRole("heading", { name: "Sign in" }).waitFor();
    await page.reload();
    await page.getByRole("heading", { name: "Sign in" }).waitFor();
    expect(await visitor.text()).not.toMatch(/[А-Яа-яЁё]/);
    await page.getByText("RU", { exact: true }).click();
    await page.getByRole("heading", { name: "Вход" }).waitFor();
    expect(await lang()).toBe("ru");
    expect((await visitor.text()).replace(/Codex API|RU|EN|E-mail/g, "")).not.toMatch(/[A-Za-z]/);
  });
});

describe("the keyboard alone", () => {
  test("reaches the skip link first, signs up, creates a key, and every dialog holds and gives back the focus", async () => {
    const { page } = visitor;
    const press = (key: string): Promise<void> => page.keyboard.press(key);
    await visitor.open("/sign-up");
    await visitor.sees("Новый аккаунт");
    await press("Tab");
    expect(await focused()).toBe("К содержанию");
    expect(await page.locator(".skip-link").boundingBox()).toMatchObject({ x: expect.any(Number) });
    expect((await page.locator(".skip-link").boundingBox())!.x).toBeGreaterThanOrEqual(0);
    await press("Enter");
    await press("Tab");
    await page.keyboard.type("Имя");
    await press("Tab");
    const email = newEmail();
    await page.keyboard.type(email);
    await press("Tab");
    await page.keyboard.type("correct horse battery staple");
    for (let box = 0; box < 2; box += 1) {
      await press("Tab");
      if ((await focusedTag()) === "BUTTON") await press("Tab");
      await press("Space");
    }
    await press("Enter");
    await visitor.sees("Мы отправили письмо");
    const token = await new Browser(stage.world.origin).mailedToken(email, "/verify");
    await visitor.open(`/verify#${token}`);
    await visitor.sees("Подтверждение адреса");
    await page.locator("input[autocomplete=current-password]").focus();
    await page.keyboard.type("correct horse battery staple");
    await press("Enter");
    await visitor.sees("Доступно");

    await page.reload();
    await visitor.sees("Доступно");
    await press("Tab");
    expect(await focused()).toBe("К содержанию");
    await visitor.open("/keys");
    await visitor.sees("Ключей пока нет");
    await press("Tab");
    await press("Enter");
    await press("Tab");
    await page.keyboard.type("Ключ");
    await press("Enter");
    const secret = page.getByRole("dialog", { name: "Ваш новый ключ" });
    await secret.waitFor();
    await expectTrapped("Ваш новый ключ");
    await secret.getByRole("button", { name: "Я сохранил ключ" }).focus();
    await press("Enter");
    await secret.waitFor({ state: "detached" });
    await eventually(async () => (await page.evaluate<string>("document.activeElement?.tagName")) === "INPUT", {
      what: "the focus to return to the form",
    });

    await page.getByRole("button", { name: "Отозвать: Ключ" }).focus();
    await press("Enter");
    await page.getByRole("dialog", { name: "Отозвать ключ?" }).waitFor();
    await expectTrapped("Отозвать ключ?");
    await press("Escape");
    await eventually(async () => (await focused()) === "Отозвать: Ключ", { what: "the focus to return to the button" });
  }, 60_000);

  test("on a phone: the menu opens and closes, and closed it cannot be reached", async () => {
    await visitor.page.setViewportSize({ width: 390, height: 844 });
    await visitor.join(newEmail());
    await visitor.sees("Доступно");
    const link = visitor.page.getByRole("link", { name: "Ключи", exact: true });
    expect(await link.isVisible()).toBe(false);
    const menu = visitor.page.getByRole("button", { name: "Меню" });
    expect(await menu.getAttribute("aria-expanded")).toBe("false");
    await menu.focus();
    await visitor.page.keyboard.press("Enter");
    await link.waitFor();
    expect(await menu.getAttribute("aria-expanded")).toBe("true");
    await link.focus();
    await visitor.page.keyboard.press("Enter");
    await visitor.sees("Ключей пока нет");
    await link.waitFor({ state: "hidden" });
  });

  async function expectTrapped(dialog: string): Promise<void> {
    const inside = `document.activeElement?.closest("[role=dialog]")?.textContent?.includes(${JSON.stringify(dialog)}) === true`;
    await eventually(async () => visitor.page.evaluate<boolean>(inside), { what: "the focus to enter the dialog" });
    for (let step = 0; step < 8; step += 1) {
      await visitor.page.keyboard.press(step % 3 === 2 ? "Shift+Tab" : "Tab");
      expect(await visitor.page.evaluate<boolean>(inside)).toBe(true);
    }
  }
});

/** "1 234,56 токена" → 1234560000n */
function microTokens(shown: string): bigint | undefined {
  return parseAmount(shown.replace(/[^\d,]/g, "").replace(",", "."));
}

/** "0.000000123456" → picotokens, 10⁻¹². */
function picoTokens(text: string): bigint {
  const [whole = "0", fraction = ""] = text.split(".");
  return BigInt(whole) * 10n ** 12n + BigInt(fraction.padEnd(12, "0"));
}

function problem(code: string, status: number): string {
  const requestId = "req_00000000000000000000000001";
  return JSON.stringify({ type: `urn:${code}`, title: code, status, code, detail: code, requestId });
}

const sessionRequired = problem("session_required", 401);
