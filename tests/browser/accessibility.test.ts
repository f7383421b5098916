import { eventually } from "@codex/testkit";
import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import axe from "axe-core";
import OpenAI from "openai";
import { startStage, type Language, type Stage, type Visitor } from "./_stage.ts";

// Every page and dialog, in both languages and colour schemes, on a desk and on a phone: axe finds nothing (WCAG 2.2 AA and
// its best practices), and nothing is wider than the window.

const tags = ["wcag2a", "wcag2aa", "wcag21aa", "wcag22aa", "best-practice"];

const variants = (["light", "dark"] as const).flatMap((colorScheme) =>
  [1280, 390].flatMap((width) => (["ru", "en"] as const).map((language) => ({ colorScheme, width, language }))),
);

const words = {
  ru: { copy: "Я сохранил ключ", menu: "Меню" },
  en: { copy: "I have saved the key", menu: "Menu" },
} satisfies Record<Language, object>;

let stage: Stage;
/** The address that the world gives to its first customer. */
const email = "customer1@example.org";

beforeAll(async () => {
  stage = await startStage();
  // A long amount and a request of every outcome, so that the pages are full.
  const customer = await stage.world.customer(123_456_789_123_456n);
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
}, 60_000);

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
    for (const path of [
      "/reset",
      `/reset#${"x".repeat(43)}`,
      "/verify",
      "/sign-in-link",
      "/email",
      "/first-operator",
      "/mailbox",
    ]) {
      await visitor.open(path);
      await page.getByRole("heading", { level: 1 }).waitFor();
      await page.waitForLoadState("networkidle");
      await look(visitor, path);
      // The same document with another token would not be loaded anew.
      await visitor.open("/nothing");
    }
    await visitor.signUp(`axe-${colorScheme}-${String(width)}-${language}@example.org`);
    await page.getByTestId("available").waitFor();
    await look(visitor, "overview without balance");
    for (const path of ["/keys", "/usage", "/nothing"]) {
      await visitor.open(path);
      await page.getByRole("heading", { level: 1 }).waitFor();
      await page.waitForLoadState("networkidle");
      await look(visitor, `${path} without anything`);
    }
    await visitor.close();
    expect(visitor.faults).toEqual([]);
  }, 60_000);

  test("signed in, with every dialog", async () => {
    const visitor = await visitorWith();
    const { page } = visitor;
    await visitor.open("/sign-in");
    await visitor.signIn(email);
    await page.getByTestId("available").waitFor();
    await look(visitor, "overview");
    if (width === 390) {
      await page.getByRole("button", { name: words[language].menu }).click();
      await page.getByRole("navigation").getByRole("link").first().waitFor();
      await look(visitor, "menu");
    }
    await visitor.open("/keys");
    await page.locator("main form input").fill("Рабочий ноутбук, который стоит дома у окна");
    await page.locator("main form button[type=submit]").click();
    await page.getByTestId("secret").waitFor();
    await look(visitor, "secret dialog");
    await page.getByRole("button", { name: words[language].copy }).click();
    await page.getByRole("dialog").waitFor({ state: "detached" });
    await look(visitor, "keys");
    await page.locator("[role=region] button").first().click();
    await page.getByRole("dialog").waitFor();
    await look(visitor, "revoke dialog");
    await page.getByRole("dialog").getByRole("button").last().click();
    await page.getByRole("dialog").waitFor({ state: "detached" });
    await look(visitor, "keys with a revoked one");
    await visitor.open("/security");
    await page.getByTestId("session").first().waitFor();
    await look(visitor, "security");
    await visitor.open("/usage");
    await page.getByTestId("usage-line").first().waitFor();
    await look(visitor, "usage");
    await page.getByTestId("usage-line").first().getByRole("button").click();
    await page.getByTestId("receipt-charged").waitFor();
    await look(visitor, "receipt");
    await visitor.close();
    expect(visitor.faults).toEqual([]);
  }, 60_000);
});

/** What is wrong goes to the visitor's faults, so that one run names everything. */
async function look(visitor: Visitor, where: string): Promise<void> {
  const { page } = visitor;
  // Colours and places are judged at rest.
  const still = "document.getAnimations().every((animation) => animation.playState !== 'running')";
  await eventually(() => page.evaluate<boolean>(still), { what: `${where} to come to rest` });
  await page.evaluate(axe.source);
  const found = await page.evaluate<{ rule: string; nodes: string[] }[]>(
    `axe.run(document, { runOnly: { type: "tag", values: ${JSON.stringify(tags)} } }).then(({ violations }) =>
      violations.map(({ id, nodes }) => ({ rule: id, nodes: nodes.map(({ html, failureSummary }) => html + " — " + failureSummary) })))`,
  );
  for (const { rule, nodes } of found) visitor.faults.push(`${where}: ${rule}: ${nodes.join(" | ")}`);
  const width = "document.documentElement.scrollWidth - document.documentElement.clientWidth";
  const tooWide = await page.evaluate<number>(width);
  if (tooWide > 0) visitor.faults.push(`${where}: ${String(tooWide)} px wider than the window`);
}
