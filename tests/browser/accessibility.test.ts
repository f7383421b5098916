import { eventually } from "@codex/testkit";
import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import axe from "axe-core";
import OpenAI from "openai";
import { Secret, TOTP } from "otpauth";
import { password } from "../e2e/_browser.ts";
import type { Customer } from "../e2e/_world.ts";
import { scanQrCode } from "./_qr-code.ts";
import { startStage, type Language, type Stage, type Visitor } from "./_stage.ts";

// Every page and dialog, in both languages and colour schemes, on a desk and on a phone: axe finds nothing (WCAG 2.2 AA and
// its best practices), and nothing is wider than the window. Each two of the three together, not all eight of all three: contrast
// hangs on the scheme, width on the language and the window.

const tags = ["wcag2a", "wcag2aa", "wcag21aa", "wcag22aa", "best-practice"];

const variants = [
  { colorScheme: "light", width: 1280, language: "ru" },
  { colorScheme: "light", width: 390, language: "en" },
  { colorScheme: "dark", width: 1280, language: "en" },
  { colorScheme: "dark", width: 390, language: "ru" },
] as const;

const words = {
  ru: {
    copy: "Я сохранил ключ",
    menu: "Меню",
    more: "Ограничения и метки",
    many: "Отозвать несколько",
    totp: "Подключить приложение",
  },
  en: {
    copy: "I have saved the key",
    menu: "Menu",
    more: "Restrictions and tags",
    many: "Revoke several",
    totp: "Set up an app",
  },
} satisfies Record<Language, object>;

let stage: Stage;
let customer: Customer;
/** The address that the world gives to its first customer. */
const email = "customer1@example.org";

beforeAll(async () => {
  stage = await startStage({ keySettings: { KEY_DISPLAY_KEY: "h1x9-Kq7_Zr4mT2wVb8nY5sLd3hGf6jPc0e" } });
  // A long amount and a request of every outcome, so that the pages are full.
  customer = await stage.world.customer(123_456_789_123_456n);
  const client = new OpenAI({
    baseURL: `${stage.world.origin}/v1`,
    apiKey: customer.apiKey,
    maxRetries: 0,
    timeout: 20_000,
  });
  for (const model of ["demo-small", "demo-large", "demo-error-503", "demo-no-usage"]) {
    await client.chat.completions.create({ model, messages: [{ role: "user", content: "hi" }] }).catch(() => undefined);
  }
}, 900_000);

afterAll(async () => {
  await stage.stop();
}, 240_000);

describe.each(variants)("$colorScheme, $width px, $language", ({ colorScheme, width, language }) => {
  const visitorWith = (): Promise<Visitor> =>
    stage.visitor({ colorScheme, language, viewport: { width, height: width === 390 ? 844 : 800 } });

  test("before sign-in, and for an account that has nothing yet", async () => {
    const visitor = await visitorWith();
    const { page } = visitor;
    visitor.allow(/status of 401 .*\/api\/auth\/sign-in$/);
    await visitor.open("/sign-in");
    await visitor.signIn(`nobody-${colorScheme}-${String(width)}-${language}@example.org`, "wrong wrong wrong");
    await page.getByRole("alert").waitFor();
    await look(visitor, "sign-in with an error");
    await visitor.open("/sign-up");
    await page.locator("input[type=email]").waitFor();
    await look(visitor, "sign-up");
    // Not one after the other: the same document with another token would not be loaded anew.
    for (const path of [
      "/reset",
      "/verify",
      `/reset#${"x".repeat(43)}`,
      "/sign-in-link",
      "/email",
      "/first-operator",
      "/mailbox",
    ]) {
      await visitor.open(path);
      await loaded(visitor);
      await look(visitor, path);
    }
    await visitor.join(`axe-${colorScheme}-${String(width)}-${language}@example.org`);
    await look(visitor, "overview without balance");
    for (const path of ["/keys", "/usage", "/nothing"]) {
      await visitor.open(path);
      await loaded(visitor);
      await look(visitor, `${path} without anything`);
    }
    await visitor.close();
    expect(visitor.faults).toEqual([]);
  }, 240_000);

  test("signed in, with every dialog", async () => {
    const visitor = await visitorWith();
    const { page } = visitor;
    await visitor.enter({ email, accountId: customer.accountId, browser: customer.browser });
    await look(visitor, "overview");
    if (width === 390) {
      await page.getByRole("button", { name: words[language].menu }).click();
      await page.getByRole("navigation").getByRole("link").first().waitFor();
      await look(visitor, "menu");
    }
    await visitor.open("/keys");
    await page.locator("main form input").first().fill("Рабочий ноутбук, который стоит дома у окна");
    await page.getByRole("button", { name: words[language].more }).click();
    await page.locator("main textarea").last().fill("300.1.1.1");
    await page.locator("main form button[type=submit]").click();
    await page.locator("main textarea[aria-invalid=true]").waitFor();
    await look(visitor, "restrictions of a new key, one of them wrong");
    await page.locator("main textarea").last().fill("10.0.0.0/8\n2001:db8:1234:5678:9abc:def0:1234:5678");
    await page.locator("main textarea").first().fill("demo-small\nanother-model-with-a-rather-long-name");
    await page.locator("main input[inputmode=decimal]").first().fill("123456,789");
    await page.locator("main form input[autocomplete=off]").nth(1).fill("ci, ночная сборка");
    await page.locator("main form button[type=submit]").click();
    await page.getByTestId("secret").waitFor();
    await look(visitor, "secret dialog");
    await page.getByRole("button", { name: words[language].copy }).click();
    await page.getByRole("dialog").waitFor({ state: "detached" });
    await look(visitor, "keys");
    const buttons = page.getByTestId("key").first().getByRole("button");
    for (const [index, name] of ["change", "roll", "show", "revoke"].entries()) {
      await buttons.nth(index).click();
      await page.getByRole("dialog").waitFor();
      await look(visitor, `${name} dialog`);
      // The account is the same in every variant, and a key is shown five times an hour: two of the four have it.
      if (name === "show" && language === "ru") {
        await stage.ageProofs();
        visitor.allow(/status of 401 .*\/show$/);
        await page.getByRole("dialog").getByRole("button").last().click();
        await page.locator("input[autocomplete=current-password]").waitFor();
        await look(visitor, "step-up dialog above another");
        await page.locator("input[autocomplete=current-password]").fill(password);
        await page.keyboard.press("Enter");
        await page.getByTestId("secret").waitFor();
        await look(visitor, "a key shown again");
      }
      if (name === "revoke") await page.getByRole("dialog").getByRole("button").last().click();
      else await page.keyboard.press("Escape");
      await page.getByRole("dialog").waitFor({ state: "detached" });
    }
    await look(visitor, "keys with a revoked one");
    await page.locator("main form input").first().fill("Ещё один");
    await page.locator("main form button[type=submit]").click();
    await page.getByRole("button", { name: words[language].copy }).click();
    await page.getByRole("dialog").waitFor({ state: "detached" });
    await page.getByRole("button", { name: words[language].many }).click();
    await page.getByRole("dialog").waitFor();
    await look(visitor, "revoke several");
    await page.keyboard.press("Escape");
    await page.getByRole("dialog").waitFor({ state: "detached" });
    await visitor.open("/account");
    await page.getByTestId("consent").first().waitFor();
    await loaded(visitor);
    await look(visitor, "account");
    await visitor.open("/security");
    await page.getByTestId("session").first().waitFor();
    await page.getByRole("button", { name: words[language].totp }).click();
    await page.getByTestId("qr-code").waitFor();
    await look(visitor, "security with a QR code");
    await visitor.open("/usage");
    await page.getByTestId("usage-line").first().waitFor();
    await look(visitor, "usage");
    await page.getByTestId("usage-line").first().getByRole("button").click();
    await page.getByTestId("receipt-charged").waitFor();
    await look(visitor, "receipt");
    await visitor.close();
    expect(visitor.faults).toEqual([]);
  }, 240_000);

  test("of an operator: before the second factor, and every page and dialog after it", async () => {
    const visitor = await visitorWith();
    const { page } = visitor;
    const operator = await stage.account(`ops-${colorScheme}-${String(width)}-${language}@example.org`);
    await stage.sql("update auth.account set role = 'admin' where email = $1", [operator.email]);
    await visitor.open("/sign-in");
    await visitor.signIn(operator.email);
    await page.getByRole("button", { name: words[language].totp }).click();
    const secret = new URL(await scanQrCode(page)).searchParams.get("secret") ?? "";
    await look(visitor, "second factor due");
    const code = new TOTP({ secret: Secret.fromBase32(secret) }).generate();
    await page.locator("input[autocomplete=one-time-code]").fill(code);
    await page.locator("input[autocomplete=one-time-code]").press("Enter");
    await page.getByTestId("recovery-codes").waitFor();
    await look(visitor, "second factor done");
    await visitor.open("/operator/accounts");
    await page.getByTestId("account").first().waitFor();
    await look(visitor, "accounts");
    await page.getByTestId("account").filter({ hasText: email }).getByRole("link").click();
    await page.getByTestId("account-session").first().getByRole("button").waitFor();
    await look(visitor, "one account");
    // Block, the role, and the end of one session.
    for (const index of [0, 2, 3]) {
      await page.locator("main section button").nth(index).click();
      await page.getByRole("dialog").waitFor();
      await look(visitor, `dialog ${String(index)} of one account`);
      await page.keyboard.press("Escape");
      await page.getByRole("dialog").waitFor({ state: "detached" });
    }
    await visitor.open("/operator/invitations");
    await page.getByTestId("registration-mode").waitFor();
    await look(visitor, "invitations");
    await visitor.open("/operator/acts");
    await page.getByTestId("audit-line").first().waitFor();
    await look(visitor, "audit log");
    await visitor.close();
    expect(visitor.faults).toEqual([]);
  }, 240_000);
});

/** The page is there, and nothing in it still waits for an answer. */
async function loaded({ page }: Visitor): Promise<void> {
  await page.getByRole("heading", { level: 1 }).waitFor();
  await eventually(async () => (await page.locator("[aria-busy=true]").count()) === 0, { what: "every answer" });
}

/** What is wrong goes to the visitor's faults, so that one run names everything. */
async function look(visitor: Visitor, where: string): Promise<void> {
  const { page } = visitor;
  // Colours and places are judged at rest.
  // One without an end is a sign of waiting, which stands below the step-up for as long as that is open.
  const still =
    "document.getAnimations().every(({ playState, effect }) => playState !== 'running' || effect.getComputedTiming().endTime === Infinity)";
  await eventually(() => page.evaluate<boolean>(still), { what: `${where} to come to rest` });
  // Once a document, which a dialog and a step by a link share with the page before.
  if (!(await page.evaluate<boolean>("'axe' in globalThis"))) await page.evaluate(axe.source);
  const found = await page.evaluate<{ rule: string; nodes: string[] }[]>(
    // What passes is neither collected nor described.
    `axe.run(document, { resultTypes: ["violations"], runOnly: { type: "tag", values: ${JSON.stringify(tags)} } }).then(({ violations }) =>
      violations.map(({ id, nodes }) => ({ rule: id, nodes: nodes.map(({ html, failureSummary }) => html + " — " + failureSummary) })))`,
  );
  for (const { rule, nodes } of found) visitor.faults.push(`${where}: ${rule}: ${nodes.join(" | ")}`);
  const width = "document.documentElement.scrollWidth - document.documentElement.clientWidth";
  const tooWide = await page.evaluate<number>(width);
  if (tooWide > 0) visitor.faults.push(`${where}: ${String(tooWide)} px wider than the window`);
}
