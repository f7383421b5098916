import { expect, test } from "@jest/globals";
import { Scope } from "./scope.ts";

test("what opens last closes first", async () => {
  const closed: string[] = [];
  const scope = new Scope({ onClosed: (name) => closed.push(name) });
  for (const name of ["database", "bus", "http"]) scope.defer(name, () => undefined);
  await scope.close();
  expect(closed).toEqual(["http", "bus", "database"]);
});

test("a start that fails half-way closes what exists", async () => {
  const closed: string[] = [];
  const start = async (): Promise<void> => {
    await using scope = new Scope({ onClosed: (name) => closed.push(name) });
    await scope.use(
      "first",
      () => 1,
      () => undefined,
    );
    await scope.use(
      "second",
      () => Promise.reject(new Error("cannot open")),
      () => undefined,
    );
  };
  await expect(start()).rejects.toThrow("cannot open");
  expect(closed).toEqual(["first"]);
});

test("a closer that fails or hangs is reported by name and the others still close", async () => {
  const scope = new Scope({ closerTimeoutMs: 20 });
  let closedFirst = false;
  scope.defer("first", () => {
    closedFirst = true;
  });
  scope.defer("hangs", () => new Promise<void>(() => undefined));
  scope.defer("throws", () => {
    throw new Error("no");
  });
  const failures = await scope.close();
  expect(failures.map((failure) => failure.name)).toEqual(["throws", "hangs"]);
  expect(closedFirst).toBe(true);
});

test("closing twice closes once, and nothing can be registered while closing", async () => {
  let times = 0;
  const scope = new Scope();
  scope.defer("once", () => {
    times += 1;
  });
  await Promise.all([scope.close(), scope.close()]);
  expect(times).toBe(1);
  expect(() => {
    scope.defer("late", () => undefined);
  }).toThrow("scope is closing");
});
