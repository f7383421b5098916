import { operatedSession, ownAuditLine, registrationRules, role, tokenClasses, usageStatus } from "@codex/contracts";
import { errorCatalogue } from "@codex/http";
import { describe, expect, test } from "@jest/globals";
import { globSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { keyStates } from "../src/features/keys/key-state.ts";
import { auditServices } from "../src/features/operators/audit-services.ts";
import { actKey, knownActions } from "../src/shared/act-text.ts";
import { en } from "../src/shared/texts-en.ts";
import { ru } from "../src/shared/texts-ru.ts";

// That both languages have the same keys is held by their type; these tests hold the keys against their use.

const source = join(import.meta.dirname, "../src");
const namespaces = Object.keys(ru).join("|");
/** "keys.create" in any quotes. */
const literal = new RegExp(`["'\`]((?:${namespaces})(?:\\.\\w+)+)["'\`]`, "g");
/** `keys.state.${…}` */
const template = new RegExp(`\`((?:${namespaces})(?:\\.\\w+)*)\\.\\$\\{`, "g");

/** Whose keys come from elsewhere, and from where. */
const closedSets: Readonly<Record<string, readonly string[]>> = {
  act: knownActions.map(actKey),
  by: ownAuditLine.shape.by.options,
  // The documents of the default settings, and what stands for any other.
  consent: ["terms", "personal_data", "other"],
  document: ["terms", "personal_data"],
  "keys.state": keyStates,
  mailSignal: ["disposable", "shared_mailbox"],
  operatorAct: ["block", "unblock", "end_sessions", "role"],
  operatorActText: ["block", "unblock", "end_sessions", "role"],
  overlap: ["0", "900", "3600", "21600", "43200", "86400"],
  registration: registrationRules.shape.registration.options,
  role: role.options,
  service: auditServices,
  sessionState: operatedSession.shape.state.options,
  signInMethod: operatedSession.shape.factor.options,
  "usage.status": usageStatus.options,
  "usage.tokenClass": [...tokenClasses, "image", "audio", "request"],
};

const files = globSync("**/*.{ts,tsx}", { cwd: source }).filter((file) => !file.includes("texts-"));
const text = files.map((file) => readFileSync(join(source, file), "utf8")).join("\n");
const used = new Set([...text.matchAll(literal)].map(([, key]) => String(key)));
const usedPrefixes = new Set([...text.matchAll(template)].map(([, prefix]) => String(prefix)));

function leaves(node: object, prefix = ""): Map<string, string> {
  const found = new Map<string, string>();
  for (const [name, value] of Object.entries(node)) {
    const key = prefix === "" ? name : `${prefix}.${name}`;
    if (typeof value === "string") found.set(key, value);
    else for (const [inner, innerText] of leaves(value as object, key)) found.set(inner, innerText);
  }
  return found;
}

const known = leaves(ru);

describe("the texts", () => {
  test("given a key in the source, then it exists", () => {
    expect(used.size).toBeGreaterThan(40);
    expect([...used].filter((key) => !known.has(key))).toEqual([]);
  });

  test("given a key that exists, then the source uses it", () => {
    const unused = [...known.keys()].filter(
      (key) => !used.has(key) && !usedPrefixes.has(key.slice(0, key.lastIndexOf("."))),
    );
    expect(unused).toEqual([]);
  });

  test("given keys made from values of the contracts, then every value has a text and nothing else has", () => {
    expect([...usedPrefixes].sort()).toEqual(["error.code", ...Object.keys(closedSets)].sort());
    for (const [prefix, values] of Object.entries(closedSets)) {
      const has = [...known.keys()]
        .filter((key) => key.startsWith(`${prefix}.`))
        .map((key) => key.slice(prefix.length + 1));
      expect({ prefix, has: has.sort() }).toEqual({ prefix, has: [...values].sort() });
    }
  });

  test("given a text for an error, then a service can answer with its code", () => {
    const codes = new Set<string>([...errorCatalogue.map(({ code }) => code), "unknown", "network"]);
    expect(Object.keys(ru.error.code).filter((code) => !codes.has(code))).toEqual([]);
  });

  test("given a text, then both languages fill in the same values, and Russian is Russian", () => {
    const holes = (value: string): string[] => (value.match(/\{\{\w+\}\}/g) ?? []).sort();
    for (const [key, english] of leaves(en)) {
      expect({ key, holes: holes(english) }).toEqual({ key, holes: holes(known.get(key) ?? "") });
      expect({ key, english: /[а-яё]/i.test(english) }).toEqual({ key, english: false });
    }
    const untranslated = [...known].filter(([, russian]) => !/[а-яё]/i.test(russian)).map(([key]) => key);
    expect(untranslated).toEqual(["app.name", "app.pageTitle", "signIn.email"]);
  });
});
