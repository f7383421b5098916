import { eventually } from "@codex/testkit";
import { describe, expect, test } from "@jest/globals";
import { setTimeout as delay } from "node:timers/promises";
import { Secret, TOTP } from "otpauth";
import { Browser, password } from "../e2e/_browser.ts";
import { scanQrCode } from "./_qr-code.ts";
import { eachOnStage } from "./_scene.ts";
import type { Stage, Visitor } from "./_stage.ts";

// What people do about their accounts, in a real browser: reset, second factors, passkeys, sessions, a first operator.

let stage: Stage;
let visitor: Visitor;
eachOnStage({}, (scene) => ({ stage, visitor } = scene));
const newEmail = (): string => stage.newEmail("person");

const stepMs = 30_000;
const codeOf = (secret: string, ahead = 0): string =>
  new TOTP({ secret: Secret.fromBase32(secret) }).generate({ timestamp: Date.now() + ahead * stepMs });
/** The code before the present one, which is left for later. It is taken until this step ends, so not typed in the last seconds of it. */
async function earlierCode(secret: string): Promise<string> {
  const leftMs = stepMs - (Date.now() % stepMs);
  if (leftMs < 8_000) await delay(leftMs);
  return codeOf(secret, -1);
}
const mailed = (email: string, page: string): Promise<string> =>
  new Browser(stage.world.origin).mailedToken(email, page);
const next = "another battery, another horse";

async function signOut(): Promise<void> {
  await visitor.page.getByRole("button", { name: "Выйти" }).click();
  await visitor.page.waitForURL("**/sign-in");
}

async function passwordSignIn(email: string, secret: string = password): Promise<void> {
  await visitor.open("/sign-in");
  await visitor.page.locator("input[type=email]").waitFor();
  await visitor.signIn(email, secret);
}

test("a forgotten password: the mail, the link, a weak one refused, the new one alone signs in, and the token leaves by one POST only", async () => {
  const { page } = visitor;
  visitor.allow(/status of 400 .*\/api\/auth\/reset$/);
  visitor.allow(/status of 401 .*\/api\/auth\/sign-in$/);
  const email = newEmail();
  await visitor.join(email);
  await signOut();
  await page.getByRole("link", { name: "Забыли пароль?" }).click();
  await page.locator("input[type=email]").fill(email);
  await page.getByRole("button", { name: "Отправить письмо" }).click();
  await visitor.sees("Мы отправили письмо");
  await page.getByRole("link", { name: "письма лежат здесь" }).click();
  const carriers: string[] = [];
  const token = await mailed(email, "/reset");
  visitor.context.on("request", (request) => {
    const seen = [request.url().split("#")[0], ...Object.values(request.headers()), request.postData() ?? ""].join(" ");
    if (seen.includes(token)) carriers.push(`${request.method()} ${new URL(request.url()).pathname}`);
  });
  await page.getByTestId("mail").filter({ hasText: email }).getByRole("link").first().click();
  await visitor.sees("Сброс пароля");
  const field = page.locator("input[autocomplete=new-password]");
  expect(await field.getAttribute("autocomplete")).toBe("new-password");
  expect(await field.getAttribute("type")).toBe("password");
  await field.fill("password1234");
  await page.getByRole("button", { name: "Сохранить пароль" }).click();
  await visitor.sees("слишком легко угадать");
  await field.fill(next);
  await page.getByRole("button", { name: "Сохранить пароль" }).click();
  await visitor.sees("Пароль изменён.");
  expect(new Set(carriers.filter((carrier) => !carrier.includes("/mailbox")))).toEqual(
    new Set(["POST /api/auth/reset"]),
  );
  await passwordSignIn(email);
  await visitor.sees("E-mail или пароль не подходят.");
  await visitor.signIn(email, next);
  await visitor.sees("Доступно");
}, 240_000);

test("an authenticator app: set up, asked for at sign-in, a recovery code instead, and removed", async () => {
  const { page } = visitor;
  visitor.allow(/status of 401 .*\/api\/auth\/sign-in\/second-factor$/);
  const email = newEmail();
  await visitor.join(email);
  await page.getByRole("link", { name: "Безопасность" }).click();
  await page.getByRole("button", { name: "Подключить приложение" }).click();
  const secret = await page.getByTestId("totp-secret").innerText();
  const scanned = new URL(await scanQrCode(page));
  expect(`${scanned.protocol}//${scanned.host}`).toBe("otpauth://totp");
  expect(scanned.searchParams.get("secret")).toBe(secret);
  await page.locator("input[autocomplete=one-time-code]").fill(await earlierCode(secret));
  await page.getByRole("button", { name: "Включить" }).click();
  const codes = page.getByTestId("recovery-codes").locator("code");
  await codes.first().waitFor();
  expect(await codes.count()).toBe(10);
  const recovery = await codes.first().innerText();
  await visitor.sees("Подключено");
  await page.reload();
  await visitor.sees("Осталось неиспользованных: 10.");
  expect(await page.content()).not.toContain(recovery);
  await signOut();

  await visitor.signIn(email);
  await visitor.sees("Шесть цифр из приложения или резервный код");
  await page.locator("input[autocomplete=one-time-code]").fill("000000");
  await page.getByRole("button", { name: "Войти", exact: true }).click();
  await visitor.sees("Код не подходит");
  await page.locator("input[autocomplete=one-time-code]").fill(codeOf(secret));
  await page.getByRole("button", { name: "Войти", exact: true }).click();
  await visitor.sees("Доступно");
  await signOut();
  await visitor.signIn(email);
  await page.locator("input[autocomplete=one-time-code]").fill(recovery.toLowerCase());
  await page.getByRole("button", { name: "Войти", exact: true }).click();
  await visitor.sees("Доступно");
  await page.getByRole("link", { name: "Безопасность" }).click();
  await visitor.sees("Осталось неиспользованных: 9.");
  await page.getByRole("button", { name: "Отключить приложение" }).click();
  await visitor.sees("Не подключено.");
}, 240_000);

describe("a passkey", () => {
  /** An authenticator of this browser that says yes by itself (CDP, WebAuthn domain). */
  async function authenticator(): Promise<void> {
    const session = await visitor.context.newCDPSession(visitor.page);
    await session.send("WebAuthn.enable");
    await session.send("WebAuthn.addVirtualAuthenticator", {
      options: {
        protocol: "ctap2",
        transport: "internal",
        hasResidentKey: true,
        hasUserVerification: true,
        isUserVerified: true,
        automaticPresenceSimulation: true,
      },
    });
  }

  test("is added, signs in alone, in the field of the address by the browser's own offer, as a second factor, and is removed", async () => {
    const { page } = visitor;
    const email = newEmail();
    await visitor.join(email);
    await authenticator();
    await page.getByRole("link", { name: "Безопасность" }).click();
    await page.getByLabel("Название ключа доступа").fill("Ноутбук");
    await page.getByRole("button", { name: "Добавить ключ доступа" }).click();
    await page.getByTestId("passkey").filter({ hasText: "Ноутбук" }).waitFor();
    expect(await page.getByTestId("recovery-codes").locator("code").count()).toBe(10);

    // Without a word typed: the browser offers the passkey where the address goes, and the authenticator takes it.
    await signOut();
    expect(await page.locator("input[type=email]").getAttribute("autocomplete")).toBe("username webauthn");
    await eventually(() => new URL(page.url()).pathname === "/", {
      timeoutMs: 10_000,
      what: "the offered passkey to sign in",
    });
    await visitor.sees("Доступно");

    await page.getByRole("link", { name: "Безопасность" }).click();
    await page.getByRole("button", { name: "Удалить: Ноутбук" }).click();
    await page.getByTestId("passkey").waitFor({ state: "detached" });
    expect(await page.getByTestId("session").count()).toBe(1);
  }, 240_000);
});

test("sessions: another browser is listed and ended from here, and is out at its next step", async () => {
  const { page } = visitor;
  const email = newEmail();
  await visitor.join(email);
  const other = await stage.visitor();
  try {
    other.allow(/status of 401/);
    await other.open("/sign-in");
    await other.signIn(email);
    await other.sees("Доступно");
    await page.getByRole("link", { name: "Безопасность" }).click();
    await page.getByTestId("session").nth(1).waitFor();
    expect(await visitor.text("main")).toMatch(/Chrome, Linux/);
    await page.getByRole("button", { name: "Завершить остальные" }).click();
    await eventually(async () => (await page.getByTestId("session").count()) === 1, { what: "one session to be left" });
    await other.page.getByRole("link", { name: "Ключи" }).click();
    await other.page.waitForURL("**/sign-in**");
  } finally {
    await other.close();
  }
}, 240_000);

test("a new address and another password: the link confirms, and the session goes on under another id", async () => {
  const { page } = visitor;
  const [email, address] = [newEmail(), newEmail()];
  await visitor.join(email);
  await page.getByRole("link", { name: "Безопасность" }).click();
  const before = (await visitor.context.cookies()).find(({ name }) => name === "__Host-cx")?.value;
  await page.locator("input[autocomplete=new-password]").fill(next);
  await page.getByRole("button", { name: "Сменить пароль" }).click();
  await visitor.sees("Пароль изменён, остальные сеансы завершены.");
  expect((await visitor.context.cookies()).find(({ name }) => name === "__Host-cx")?.value).not.toBe(before);
  await page.getByRole("link", { name: "Аккаунт", exact: true }).click();
  await page.getByLabel("Новый e-mail").fill(address);
  await page.getByRole("button", { name: "Сменить e-mail" }).click();
  await visitor.sees("На новый адрес отправлено письмо");
  await visitor.open(`/email#${await mailed(address, "/email")}`);
  await page.getByRole("button", { name: "Подтвердить" }).click();
  await visitor.sees("Адрес изменён.");
  await visitor.open("/");
  await visitor.sees(address);
}, 240_000);

describe("a proof that is old", () => {
  const dialog = () => visitor.page.getByRole("dialog", { name: "Подтвердите, что это вы" });

  test("the page asks for it, a wrong one is told, and with the right one it goes on with what was asked", async () => {
    const { page } = visitor;
    visitor.allow(/status of 401 .*\/api\/auth\/(totp|reauthenticate)$/);
    await visitor.join(newEmail());
    await page.getByRole("link", { name: "Безопасность" }).click();
    await page.getByRole("button", { name: "Подключить приложение" }).waitFor();
    await stage.ageProofs();
    await page.getByRole("button", { name: "Подключить приложение" }).click();
    const field = dialog().locator("input[autocomplete=current-password]");
    await field.fill("not the password at all");
    await dialog().getByRole("button", { name: "Продолжить" }).click();
    await visitor.sees("E-mail или пароль не подходят.");
    await field.fill(password);
    await page.keyboard.press("Enter");
    // Nothing else was clicked.
    await page.getByTestId("totp-secret").waitFor();
    expect(await dialog().count()).toBe(0);
  }, 240_000);

  test("given by a code of the app, and declined it leaves the refusal where it was asked, with nothing lost", async () => {
    const { page } = visitor;
    visitor.allow(/status of 401 .*\/api\/auth\/(password|recovery-codes)$/);
    await visitor.join(newEmail());
    await page.getByRole("link", { name: "Безопасность" }).click();
    await page.getByRole("button", { name: "Подключить приложение" }).click();
    const secret = await page.getByTestId("totp-secret").innerText();
    await page.locator("input[autocomplete=one-time-code]").fill(await earlierCode(secret));
    await page.getByRole("button", { name: "Включить" }).click();
    await page.getByTestId("recovery-codes").waitFor();
    await stage.ageProofs();

    await page.locator("input[autocomplete=new-password]").fill(next);
    await page.getByRole("button", { name: "Сменить пароль" }).click();
    await dialog().waitFor();
    await page.keyboard.press("Escape");
    await visitor.sees("Подтвердите, что это вы, и повторите.");
    expect(await page.locator("input[autocomplete=new-password]").inputValue()).toBe(next);

    await page.getByRole("button", { name: "Создать новые коды" }).click();
    await dialog().getByText("Код", { exact: true }).click();
    await dialog().locator("input[autocomplete=one-time-code]").fill(codeOf(secret));
    await dialog().getByRole("button", { name: "Продолжить" }).click();
    await dialog().waitFor({ state: "detached" });
    await visitor.sees("Осталось неиспользованных: 10.");
  }, 240_000);
});

test("the account: name and language of mails, what was agreed to with version and time, and what was done to it", async () => {
  const { page } = visitor;
  const email = newEmail();
  const accountId = await visitor.join(email);
  await page.getByRole("link", { name: "Аккаунт", exact: true }).click();
  await visitor.sees(accountId);
  const consents = page.getByTestId("consent");
  await consents.first().waitFor();
  const agreed = (await consents.allInnerTexts()).map((text) => text.replace(/\s+/g, " "));
  expect(agreed).toHaveLength(2);
  expect(agreed.join("; ")).toMatch(/Условия использования 1 \d\d\.\d\d\.\d{4}, \d\d:\d\d/);
  expect(agreed.join("; ")).toMatch(/Обработка персональных данных 1 \d\d\.\d\d\.\d{4}, \d\d:\d\d/);
  await page.getByTestId("act").filter({ hasText: "аккаунт создан" }).waitFor();

  await page.getByLabel("Имя (необязательно)").fill("Анна");
  await page.getByLabel("Язык писем").selectOption("en");
  await page.getByRole("button", { name: "Сохранить", exact: true }).click();
  await visitor.sees("Сохранено.");
  await page.reload();
  await visitor.sees(accountId);
  expect(await page.getByLabel("Имя (необязательно)").inputValue()).toBe("Анна");
  expect(await page.getByLabel("Язык писем").inputValue()).toBe("en");

  const seen = await stage.world.operator.get(`/api/auth/operator/accounts/${accountId}`);
  expect(seen.status).toBe(200);
  await page.reload();
  await page.getByTestId("act").filter({ hasText: "аккаунт просмотрен" }).filter({ hasText: "оператор" }).waitFor();
  // What the owner does about keys is in it as well, in one list with the rest, newest first.
  await page.evaluate(
    `fetch("/api/keys", { method: "POST", headers: { "content-type": "application/json", "x-cx-csrf": "1" }, body: '{"name":"Ключ"}' })`,
  );
  await page.reload();
  const acts = page.getByTestId("act");
  await acts.filter({ hasText: "ключ создан" }).waitFor();
  const lines = (await acts.allInnerTexts()).map((text) => text.replace(/\s+/g, " "));
  expect(lines[0]).toMatch(/ключ создан вы — key_/);
  expect(lines[1]).toMatch(/аккаунт просмотрен оператор/);
}, 240_000);

test("fields of secrets (SEC-11): hidden, named for password managers, and a password can be pasted", async () => {
  const { page, context } = visitor;
  await context.grantPermissions(["clipboard-read", "clipboard-write"]);
  await visitor.open("/sign-up");
  await page.locator("input[type=email]").waitFor();
  const field = page.locator("input[autocomplete=new-password]");
  expect(await field.getAttribute("type")).toBe("password");
  expect(await page.locator("input[type=email]").getAttribute("autocomplete")).toBe("username");
  await page.evaluate(`navigator.clipboard.writeText(${JSON.stringify(next)})`);
  await field.focus();
  await page.keyboard.press("Control+V");
  expect(await field.inputValue()).toBe(next);
  await page.getByRole("button", { name: "Показать или скрыть пароль" }).click();
  expect(await field.getAttribute("type")).toBe("text");
  await visitor.open("/sign-in");
  const current = page.locator("input[autocomplete=current-password]");
  await current.waitFor();
  expect(await current.getAttribute("type")).toBe("password");
  await current.focus();
  await page.keyboard.press("Control+V");
  expect(await current.inputValue()).toBe(next);
}, 240_000);

test("a page of somebody else: whatever it sends to us, the session lives and nobody is signed in by it", async () => {
  const { page, context } = visitor;
  // What the browser says of a foreign page's attempts is no fault of ours.
  visitor.allow(/evil\.example|CORS|ERR_|status of 40[13]/);
  await visitor.join(newEmail());
  const before = (await context.cookies()).find(({ name }) => name === "__Host-cx")?.value;
  await context.route("http://evil.example/**", (route) =>
    route.fulfill({ contentType: "text/html", body: "<!doctype html><title>evil</title>" }),
  );
  await page.goto("http://evil.example/");
  const attempts = `(async (origin) => {
    const send = (path, options) => fetch(origin + path, { method: "POST", credentials: "include", ...options }).then((answer) => answer.type, () => "refused");
    return Promise.all([
      send("/api/auth/sign-out", { mode: "no-cors" }),
      send("/api/auth/sessions/end-others", { mode: "no-cors", headers: { "content-type": "text/plain" }, body: "{}" }),
      send("/api/auth/sign-out", { headers: { "x-cx-csrf": "1" } }),
      send("/api/auth/sign-in", { headers: { "content-type": "application/json", "x-cx-csrf": "1" }, body: "{}" }),
    ]);
  })(${JSON.stringify(stage.world.origin)})`;
  const answers = await page.evaluate<string[]>(attempts);
  expect(answers.filter((answer) => answer !== "opaque" && answer !== "refused")).toEqual([]);
  await visitor.open("/");
  await visitor.sees("Доступно");
  expect((await context.cookies()).find(({ name }) => name === "__Host-cx")?.value).toBe(before);
}, 240_000);
