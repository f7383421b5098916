import { afterEach, describe, expect, test } from "@jest/globals";
import { execFile } from "node:child_process";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { authSchema } from "@codex/auth";
import type { AccountId } from "@codex/kernel";
import { Secret, TOTP } from "otpauth";
import { Browser, password } from "../e2e/_browser.ts";
import { scanQrCode } from "./_qr-code.ts";
import { eachOnStage } from "./_scene.ts";
import type { Person, Stage, Visitor } from "./_stage.ts";

// What operators see and do, in a real browser; and what those see who are none.

const bootstrapProgram = fileURLToPath(new URL("../../services/auth/src/bootstrap-code.ts", import.meta.url));
const run = promisify(execFile);

let stage: Stage;
let visitor: Visitor;
eachOnStage({}, (scene) => ({ stage, visitor } = scene));
const newEmail = (): string => stage.newEmail("somebody");

const path = (): string => new URL(visitor.page.url()).pathname;

const customer = (): Promise<Person> => stage.account(newEmail());

/** Takes part as an operator whose second factor is set up. */
async function operator(role: "support" | "admin"): Promise<AccountId> {
  const person = await stage.operator(newEmail(), role);
  await visitor.enter(person);
  return person.accountId;
}

async function enrol(): Promise<void> {
  const { page } = visitor;
  await page.getByRole("heading", { level: 1, name: "Второй фактор" }).waitFor();
  await page.getByRole("button", { name: "Подключить приложение" }).click();
  const secret = new URL(await scanQrCode(page)).searchParams.get("secret") ?? "";
  const code = new TOTP({ secret: Secret.fromBase32(secret) }).generate();
  await page.locator("input[autocomplete=one-time-code]").fill(code);
  await page.getByRole("button", { name: "Включить" }).click();
  await page.getByTestId("recovery-codes").waitFor();
}

const navigation = (): Promise<string[]> => visitor.page.getByRole("navigation").getByRole("link").allInnerTexts();

test("an operator without a second factor reaches its enrolment and nothing else, by whatever address (SEC-25)", async () => {
  const { page } = visitor;
  const { email } = await customer();
  await stage.world.grantRole(email, "admin");
  const asked: string[] = [];
  page.on("request", (request) => {
    const url = new URL(request.url());
    if (url.pathname.startsWith("/api/")) asked.push(url.pathname);
  });
  await visitor.open("/sign-in");
  await visitor.signIn(email);
  await page.getByRole("heading", { level: 1, name: "Второй фактор" }).waitFor();
  for (const address of ["/", "/keys", "/usage", "/account", "/security", "/operator/accounts", "/operator/acts"]) {
    await visitor.open(address);
    await page.getByRole("button", { name: "Подключить приложение" }).waitFor();
    expect(path()).toBe("/second-factor");
  }
  expect(await navigation()).toEqual([]);
  // Nothing was asked that such a session is refused.
  expect(
    [...new Set(asked)].filter((asks) => !/^\/api\/auth\/(me|security|sign-in|passkey\/options)$/.test(asks)),
  ).toEqual([]);
  await enrol();
  expect(path()).toBe("/second-factor");
  await page.getByRole("button", { name: "Продолжить работу" }).click();
  await visitor.sees("Доступно");
  expect(await navigation()).toEqual([
    "Обзор",
    "Ключи",
    "Журнал",
    "Аккаунт",
    "Безопасность",
    "Аккаунты",
    "Приглашения",
    "Журнал действий",
  ]);
}, 240_000);

test("an account is found, looked at, blocked with a reason that its owner reads, unblocked, and signed out", async () => {
  const { page } = visitor;
  const somebody = await customer();
  const self = await operator("admin");
  const answers: string[] = [];
  page.on("response", (response) => {
    if (response.url().includes("/api/auth/operator/"))
      void response.text().then(
        (text) => answers.push(text),
        () => undefined,
      );
  });
  await page.getByRole("link", { name: "Аккаунты", exact: true }).click();
  await page.getByLabel("Номер аккаунта или начало e-mail").fill(somebody.email.slice(0, -5));
  await page.getByRole("button", { name: "Найти" }).click();
  await page.getByTestId("account").filter({ hasText: somebody.email }).waitFor();
  expect(page.url()).not.toContain("somebody");
  await page.getByLabel("Номер аккаунта или начало e-mail").fill("nobody-of-that-name");
  await page.getByRole("button", { name: "Найти" }).click();
  await visitor.sees("Никого не найдено.");
  await page.getByLabel("Номер аккаунта или начало e-mail").fill(somebody.accountId);
  await page.getByRole("button", { name: "Найти" }).click();
  await page.getByRole("link", { name: somebody.email }).click();
  await page.getByRole("heading", { level: 1, name: somebody.email }).waitFor();
  await visitor.sees(somebody.accountId);
  await visitor.sees(/Сеансы 1/);

  // Long ago: the page asks by itself, and the block goes on.
  visitor.allow(/status of 401 .*\/block$/);
  await stage.ageProofs();
  await page.getByRole("button", { name: "Заблокировать", exact: true }).click();
  await page.getByRole("dialog").getByLabel("Причина").fill("рассылает спам");
  await page.getByRole("dialog").getByRole("button", { name: "Подтвердить" }).click();
  const proof = page.getByRole("dialog", { name: "Подтвердите, что это вы" });
  await proof.locator("input[autocomplete=current-password]").fill(password);
  await proof.getByRole("button", { name: "Продолжить" }).click();
  await page.getByRole("dialog", { name: "Заблокировать аккаунт?" }).waitFor({ state: "detached" });
  await visitor.sees("заблокирован");
  await visitor.sees(/Сеансы 0/);
  expect((await somebody.browser.get("/api/auth/me")).status).toBe(401);

  await page.getByRole("button", { name: "Разблокировать", exact: true }).click();
  await page.getByRole("dialog").getByLabel("Причина").fill("ошиблись");
  await page.getByRole("dialog").getByRole("button", { name: "Подтвердить" }).click();
  await page.getByRole("dialog").waitFor({ state: "detached" });
  await visitor.sees("действует");
  await somebody.browser.signIn(somebody.email);
  const another = new Browser(stage.world.origin);
  await another.signIn(somebody.email);
  await page.reload();
  await visitor.sees(/Сеансы 2/);
  // One of them: the newer stands first.
  const sessions = page.getByTestId("account-session");
  await sessions.nth(2).waitFor();
  expect(await sessions.allInnerTexts()).toEqual(
    ["активен", "активен", "завершён"].map((state) => expect.stringMatching(new RegExp(`пароль.*${state}`, "s"))),
  );
  expect(await sessions.nth(2).getByRole("button").count()).toBe(0);
  await sessions
    .first()
    .getByRole("button", { name: /^Завершить сеанс от / })
    .click();
  await page.getByRole("dialog", { name: "Завершить сеанс?" }).getByLabel("Причина").fill("чужой браузер");
  await page.getByRole("dialog").getByRole("button", { name: "Подтвердить" }).click();
  await page.getByRole("dialog").waitFor({ state: "detached" });
  await visitor.sees(/Сеансы 1/);
  expect((await another.get("/api/auth/me")).status).toBe(401);
  expect((await somebody.browser.get("/api/auth/me")).status).toBe(200);
  await page.getByRole("button", { name: "Завершить сеансы" }).click();
  await page.getByRole("dialog").getByLabel("Причина").fill("по просьбе владельца");
  await page.getByRole("dialog").getByRole("button", { name: "Подтвердить" }).click();
  await page.getByRole("dialog").waitFor({ state: "detached" });
  await visitor.sees(/Сеансы 0/);
  expect((await somebody.browser.get("/api/auth/me")).status).toBe(401);

  const owner = await stage.visitor();
  await owner.open("/sign-in");
  await owner.signIn(somebody.email);
  await owner.page.getByRole("link", { name: "Аккаунт", exact: true }).click();
  for (const reason of ["рассылает спам", "ошиблись", "чужой браузер", "по просьбе владельца"])
    await owner.sees(reason);
  expect(await owner.text("main")).not.toContain(self);
  await owner.close();
  expect(owner.faults).toEqual([]);

  await visitor.open(`/operator/accounts/${self}`);
  await visitor.sees("Это ваш аккаунт");
  expect(answers.length).toBeGreaterThan(5);
  // No secret in any answer: no hash of a password, no session's id, no factor.
  expect(answers.join("\n")).not.toMatch(/\$2[aby]\$|ses_|hash"?:"?\$|secret"?:"|recoveryCodes/);
}, 240_000);

test("the audit log: newest first, of one account, and it says who", async () => {
  const { page } = visitor;
  const somebody = await customer();
  const self = await operator("admin");
  await page.getByRole("link", { name: "Аккаунты", exact: true }).click();
  await page.getByLabel("Номер аккаунта или начало e-mail").fill(somebody.accountId);
  await page.getByRole("button", { name: "Найти" }).click();
  await page.getByRole("link", { name: somebody.email }).click();
  await page.getByRole("button", { name: "Изменить роль" }).click();
  await page.getByRole("dialog").getByLabel("Роль").selectOption("support");
  await page.getByRole("dialog").getByLabel("Причина").fill("новый сотрудник");
  await page.getByRole("dialog").getByRole("button", { name: "Подтвердить" }).click();
  await page.getByRole("dialog").waitFor({ state: "detached" });
  await visitor.sees("поддержка");

  await page.getByRole("link", { name: "Журнал действий", exact: true }).click();
  const lines = page.getByTestId("audit-line");
  await lines.filter({ hasText: "новый сотрудник" }).waitFor();
  await lines.filter({ hasText: "канал создан" }).waitFor();
  await page.getByLabel("Номер аккаунта").fill(somebody.accountId);
  await page.getByRole("button", { name: "Найти" }).click();
  await lines.filter({ hasText: "поиск по аккаунтам" }).first().waitFor({ state: "detached" });
  await lines.first().waitFor();
  const texts = (await lines.allInnerTexts()).map((text) => text.replace(/\s+/g, " "));
  // The sessions are looked at with the account, and again after what ends them.
  expect(texts).toHaveLength(5);
  expect(texts[0]).toMatch(new RegExp(`сеансы просмотрены.*${self}.*${somebody.accountId}`));
  expect(texts[1]).toMatch(new RegExp(`изменена роль.*${self}.*${somebody.accountId}.*новый сотрудник`));
  expect(texts[2]).toMatch(new RegExp(`сеансы просмотрены.*${self}.*${somebody.accountId}`));
  expect(texts[3]).toMatch(new RegExp(`аккаунт просмотрен.*${self}.*${somebody.accountId}`));
  expect(texts[4]).toMatch(new RegExp(`аккаунт создан.*${somebody.accountId}`));
  await page.getByLabel("Действие").selectOption("account_viewed");
  await page.getByLabel("Номер оператора").fill(self);
  await page.getByLabel("Где").selectOption("auth");
  await page.getByLabel("Начиная с").fill("2001-01-01T00:00");
  await page.getByRole("button", { name: "Найти" }).click();
  await lines.nth(1).waitFor({ state: "detached" });
  expect(await lines.first().innerText()).toContain("аккаунт просмотрен");
  await page.getByLabel("До").fill("2001-01-02T00:00");
  await page.getByRole("button", { name: "Найти" }).click();
  await visitor.sees("Таких записей нет.");
  visitor.allow(/status of 400 .*\/operator\//);
  await page.getByLabel("Номер аккаунта").fill("никто");
  await page.getByRole("button", { name: "Найти" }).click();
  await visitor.sees("Проверьте заполнение полей.");
}, 240_000);

test("an invitation: the mode of registration is shown, the mail goes out, and its link makes the account", async () => {
  const { page } = visitor;
  const invited = newEmail();
  await operator("admin");
  await page.getByRole("link", { name: "Приглашения", exact: true }).click();
  await visitor.sees("Открыта: зарегистрироваться может каждый.");
  await page.getByLabel("E-mail").fill(invited);
  await page.getByRole("button", { name: "Отправить приглашение" }).click();
  await visitor.sees("Приглашение отправлено.");
  const token = await new Browser(stage.world.origin).mailedToken(invited, "/sign-up");
  const guest = await stage.visitor();
  await guest.open(`/sign-up#${token}`);
  await guest.page.locator("input[type=email]").waitFor();
  for (const box of await guest.page.locator("input[type=checkbox]").all()) await box.check();
  await guest.signIn(invited);
  await guest.sees("Мы отправили письмо");
  await guest.open(`/verify#${await new Browser(stage.world.origin).mailedToken(invited, "/verify")}`);
  await guest.page.locator("input[autocomplete=current-password]").fill(password);
  await guest.page.getByRole("button", { name: "Подтвердить и войти" }).click();
  await guest.sees("Доступно");
  await guest.close();
  expect(guest.faults).toEqual([]);
}, 240_000);

test("more accounts than a page: the next page fails, says so, and comes on asking again", async () => {
  const { page } = visitor;
  await operator("support");
  await stage.sql(
    `insert into auth.account (id, email, role, password_hash, created_at, language)
       select gen_random_uuid(), 'crowd' || n || '@example.org', 'user', '-', now(), 'ru' from generate_series(1, 60) n`,
  );
  await page.getByRole("link", { name: "Аккаунты", exact: true }).click();
  await page.getByLabel("Номер аккаунта или начало e-mail").fill("crowd");
  await page.getByRole("button", { name: "Найти" }).click();
  const rows = page.getByTestId("account").filter({ hasText: "crowd" });
  await rows.nth(49).waitFor();
  visitor.allow(/net::ERR_FAILED/);
  await page.route("**/api/auth/operator/accounts?*cursor=*", (route) => route.abort());
  await page.getByRole("button", { name: "Показать ещё" }).click();
  await page.getByRole("alert").waitFor();
  expect(await rows.count()).toBe(50);
  await page.unroute("**/api/auth/operator/accounts?*cursor=*");
  await page.getByRole("alert").getByRole("button", { name: "Повторить" }).click();
  await rows.nth(59).waitFor();
  expect(await page.getByRole("alert").count()).toBe(0);
  expect(await page.getByRole("button", { name: "Показать ещё" }).count()).toBe(0);
}, 240_000);

describe("registration that is not open to everybody", () => {
  afterEach(() => stage.world.restartAuth({}), 60_000);

  test("by invitation: without one the page says so; the operator's mail leads from the demo mailbox to an account", async () => {
    const { page } = visitor;
    const invited = newEmail();
    await operator("admin");
    await stage.world.restartAuth({ AUTH_REGISTRATION: "invite" });
    await page.getByRole("link", { name: "Приглашения", exact: true }).click();
    await visitor.sees("По приглашениям: зарегистрироваться может тот, кому пришло письмо.");

    const guest = await stage.visitor();
    await guest.open("/sign-up");
    await expectNoForm(guest, "Регистрация только по приглашениям");

    await page.getByLabel("E-mail").fill(invited);
    await page.getByRole("button", { name: "Отправить приглашение" }).click();
    await visitor.sees("Приглашение отправлено.");
    await new Browser(stage.world.origin).mailedToken(invited, "/sign-up");
    await guest.open("/mailbox");
    await guest.page.getByTestId("mail").filter({ hasText: invited }).getByRole("link").click();
    await guest.page.locator("input[type=email]").waitFor();
    for (const box of await guest.page.locator("input[type=checkbox]").all()) await box.check();
    // It is good for the address that it was mailed to, and for no other.
    guest.allow(/status of 403 .*\/api\/auth\/register$/);
    await guest.signIn(newEmail());
    await guest.sees("Регистрация закрыта");
    await guest.signIn(invited);
    await guest.sees("Мы отправили письмо");
    await new Browser(stage.world.origin).mailedToken(invited, "/verify");
    await guest.page.getByRole("link", { name: "письма лежат здесь" }).click();
    await guest.page
      .getByTestId("mail")
      .filter({ hasText: invited })
      .getByRole("link", { name: /\/verify#/ })
      .click();
    await guest.page.locator("input[autocomplete=current-password]").fill(password);
    await guest.page.getByRole("button", { name: "Подтвердить и войти" }).click();
    await guest.sees("Доступно");
    await guest.close();
    expect(guest.faults).toEqual([]);
  }, 240_000);

  test("closed: the page says so and has no form, not even with the link of an invitation", async () => {
    const { page } = visitor;
    await operator("admin");
    await stage.world.restartAuth({ AUTH_REGISTRATION: "closed" });
    for (const address of ["/sign-up", `/sign-up#${"x".repeat(43)}`]) {
      const guest = await stage.visitor();
      await guest.open(address);
      await expectNoForm(guest, "Регистрация закрыта");
      await guest.close();
      expect(guest.faults).toEqual([]);
    }
    await page.getByRole("link", { name: "Приглашения", exact: true }).click();
    await visitor.sees("Закрыта: новых аккаунтов не будет.");
  }, 240_000);

  async function expectNoForm({ page, sees }: Visitor, what: string): Promise<void> {
    await sees(what);
    expect(await page.locator("form, input:not([type=radio]), button[type=submit]").count()).toBe(0);
    await page.getByRole("link", { name: "Уже есть аккаунт? Войти" }).waitFor();
  }
});

test("support sees what support may do; for a customer there are no such pages and no such answers", async () => {
  const { page } = visitor;
  const somebody = await customer();
  await operator("support");
  expect((await navigation()).slice(-2)).toEqual(["Безопасность", "Аккаунты"]);
  await page.getByRole("link", { name: "Аккаунты", exact: true }).click();
  await page.getByTestId("account").filter({ hasText: somebody.email }).getByRole("link").click();
  await page.getByRole("button", { name: "Заблокировать", exact: true }).waitFor();
  expect(await page.getByRole("button", { name: "Изменить роль" }).count()).toBe(0);
  for (const address of ["/operator/acts", "/operator/invitations"]) {
    await visitor.open(address);
    await visitor.sees("Такой страницы нет");
  }

  const outsider = await stage.visitor();
  outsider.allow(/status of 403 .*\/api\/auth\/operator\//);
  await outsider.join(newEmail());
  for (const address of [
    "/operator/accounts",
    `/operator/accounts/${somebody.accountId}`,
    "/operator/invitations",
    "/operator/acts",
  ]) {
    await outsider.open(address);
    await outsider.sees("Такой страницы нет");
    expect(await outsider.text()).not.toContain(somebody.email);
  }
  expect(await outsider.status("/api/auth/operator/accounts")).toBe(403);
  await outsider.close();
  expect(outsider.faults).toEqual([]);
}, 240_000);

test("the first operator: by the one-time code of the machine, then the second factor, then the pages of operators", async () => {
  const { page } = visitor;
  // As on a new installation: there is no administrator yet.
  await stage.sql("update auth.account set role = 'user'");
  const { stdout } = await run(process.execPath, ["--conditions=codex:source", bootstrapProgram], {
    env: { DATABASE_URL: stage.world.database.urlFor("app", authSchema) },
    timeout: 30_000,
  });
  visitor.allow(/status of 40[01] .*\/api\/auth\/bootstrap$/);
  await visitor.open("/first-operator");
  await page.getByLabel("Одноразовый код").fill("x".repeat(43));
  await visitor.signIn(newEmail());
  await page.getByRole("alert").waitFor();
  await page.getByLabel("Одноразовый код").fill(stdout.trim());
  await page.getByRole("button", { name: "Создать аккаунт" }).click();
  await enrol();
  await page.getByRole("button", { name: "Продолжить работу" }).click();
  await visitor.sees("Доступно");
  expect((await navigation()).slice(-3)).toEqual(["Аккаунты", "Приглашения", "Журнал действий"]);
}, 240_000);
