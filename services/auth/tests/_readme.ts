import { expect, test } from "@jest/globals";
import * as contracts from "@codex/contracts";
import { describeConfig, type ConfigSpec } from "@codex/runtime";
import { existsSync, readFileSync } from "node:fs";

interface OpenApi {
  readonly paths: Readonly<Record<string, Readonly<Record<string, unknown>>>>;
}

const root = new URL("../../../", import.meta.url);

/** Cells of the rows whose first one is code, of the section with this heading. */
function tableOf(readme: string, heading: string): readonly (readonly string[])[] {
  const section = readme.split(/^## /m).find((text) => text.startsWith(`${heading}\n`)) ?? "";
  return [...section.matchAll(/^\| `([^`]+)`\s*\|(.*)\|$/gm)].map(([, name = "", rest = ""]) => [
    name,
    ...rest.split("|").map((cell) => cell.trim()),
  ]);
}

/** What the default column says of a setting. */
function fallbackOf(setting: ReturnType<typeof describeConfig>[number]): string {
  if (setting.name === "INSTANCE_ID") return "host name and pid";
  if (setting.default !== undefined) return `\`${setting.default}\``;
  return setting.required ? "required" : "none";
}

/** "GET /api/keys", of the document that is generated from the routes; undefined for a service without one. */
function declaredRoutes(service: string): readonly string[] | undefined {
  const file = new URL(`docs/contracts/openapi/${service}.json`, root);
  if (!existsSync(file)) return undefined;
  const { paths } = JSON.parse(readFileSync(file, "utf8")) as OpenApi;
  return Object.entries(paths).flatMap(([path, methods]) =>
    Object.keys(methods).map((method) => `${method.toUpperCase()} ${path.replaceAll(/\{(\w+)\}/g, ":$1")}`),
  );
}

/** The README of a service, held against its code: sections, settings with their defaults, routes and contracts. */
export function describeReadme<T>(service: string, spec: ConfigSpec<T>): void {
  const readme = readFileSync(new URL(`services/${service}/README.md`, root), "utf8");

  test("given the README, when it is read, then it has the sections that every service has", () => {
    const sections = [...readme.matchAll(/^## (.+)$/gm)].map((match) => match[1]);
    expect(sections).toEqual(["Owns", "HTTP", "On the bus", "Settings", "Alarms", "Unit of scale"]);
  });

  test("given the settings of the code, when its table is read, then each is there with its default and a meaning, and no other", () => {
    const rows = tableOf(readme, "Settings");
    const expected = describeConfig(spec).map((setting) => [setting.name, fallbackOf(setting)]);
    expect(rows.map(([name, fallback]) => [name, fallback])).toEqual(expected);
    expect(rows.filter(([, , meaning = ""]) => meaning.length <= 10)).toEqual([]);
  });

  test("given the declared routes, when its table is read, then each of them is there", () => {
    const written = tableOf(readme, "HTTP").map(([route]) => route);
    const declared = declaredRoutes(service);
    expect(written.length).toBeGreaterThan(0);
    expect(written).toEqual(expect.arrayContaining([...(declared ?? [])]));
  });

  test("given the contracts, when its table of the bus is read, then every name is one of them", () => {
    const names = tableOf(readme, "On the bus").map(([name = ""]) => name);
    expect(names.filter((name) => !(name in contracts))).toEqual([]);
    expect(names.length > 0).toBe(/NATS_URL/.test(readme));
  });
}
