import * as contracts from "@codex/contracts";
import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import type { Attempt, Tried } from "../permissions/attempt.ts";
import { grantsOf } from "../permissions/grants.ts";
import { tryNats } from "../permissions/nats.ts";
import { tryPostgres } from "../permissions/postgres.ts";
import { tryRedis } from "../permissions/redis.ts";
import { startWorld, type World } from "../permissions/world.ts";
import { boundaries, type Boundary } from "../src/boundary.ts";

// SEC-03: what `npm run test:permissions` prints, as a test.

const root = fileURLToPath(new URL("../../../", import.meta.url));
let world: World;

beforeAll(async () => {
  world = await startWorld();
}, 120_000);
afterAll(() => world.stop(), 60_000);

const said = ({ server, as, what, detail }: Attempt): string => `${server} ${as}: ${what} ${detail ?? ""}`;

/** `least`: so that a table which became empty does not look like a boundary that holds. */
function expectDenied({ attempts, controls }: Tried, least: number): void {
  expect(controls.filter(({ works }) => !works)).toEqual([]);
  expect(attempts.filter(({ outcome }) => outcome !== "denied").map(said)).toEqual([]);
  expect(attempts.length).toBeGreaterThan(least);
}

test("SEC-03 given each role of Postgres, when it tries other schemas, other shapes and what is append-only, then all is denied", async () => {
  expectDenied(await tryPostgres(world), 1_000);
}, 60_000);

test("SEC-03 given each user of NATS, when it says and hears what is not its own, then all is denied", async () => {
  expectDenied(await tryNats(world), 500);
}, 60_000);

test("SEC-03 given each user of Redis, when it touches others' keys and the server, then all is denied", async () => {
  expectDenied(await tryRedis(world), 80);
}, 60_000);

test("SEC-03 the grants of Postgres are those of the golden file; after a change: npm run test:permissions -- --write-grants, and read the difference", async () => {
  const golden = readFileSync(`${root}deploy/setup/permissions/grants.golden.txt`, "utf8");
  expect((await grantsOf(world)).split("\n")).toEqual(golden.split("\n"));
});

const nameOf = new Map<unknown, string>(Object.entries(contracts).map(([name, value]) => [value, name]));

/** Names of the contracts in a service's boundary. */
function inBoundary({ bus }: Boundary): readonly string[] {
  const { serves, calls, publishes, consumes, reads, writesKv, readsKv, signals, hearsSignals } = bus;
  const inStreams = [...(consumes ?? []), ...(reads ?? [])].flatMap(({ events }) => events);
  return [serves, calls, publishes, inStreams, writesKv, readsKv, signals, hearsSignals]
    .flatMap((of): readonly unknown[] => of ?? [])
    .map((contract) => nameOf.get(contract) ?? "unknown");
}

/** Names of the contracts in the table of a service's README. */
function inReadme(service: string): readonly string[] {
  const text = readFileSync(`${root}services/${service}/README.md`, "utf8");
  const section = /^## (On the bus|Says and hears)$(.*?)^## /ms.exec(text)?.[2] ?? "";
  const names = new Set(nameOf.values());
  return [...section.matchAll(/`(\w+)`/g)].map(([, name = ""]) => name).filter((name) => names.has(name));
}

describe("the table of boundaries and the READMEs say the same", () => {
  test.each(boundaries.map((boundary) => [boundary.service, boundary] as const))("%s", (service, boundary) => {
    const stated = inBoundary(boundary);
    expect([...new Set(stated)].toSorted()).toEqual([...new Set(inReadme(service))].toSorted());
  });
});

test("SEC-04 no service but the edge is told where another one listens: what crosses between services is NATS alone", () => {
  const known = boundaries.map(({ service }) => readFileSync(`${root}services/${service}/src/config.ts`, "utf8"));
  for (const text of known) expect(text).not.toMatch(/(AUTH|KEYS|BILLING|GATEWAY|IMAGES|BONUS)_URL/);
  expect(readFileSync(`${root}services/dashboard/edge/config.ts`, "utf8")).toMatch(/KEYS_URL/);
});
