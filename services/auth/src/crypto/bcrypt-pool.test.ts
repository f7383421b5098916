import { expect, test } from "@jest/globals";
import { BcryptPool, waitingMax } from "./bcrypt-pool.ts";

const ask = { kind: "hash", input: "text", cost: 4 } as const;

test("given one thread, when it and the queue are full, then the next task is refused and every other is done", async () => {
  const pool = new BcryptPool(1);
  try {
    const accepted = Array.from({ length: 1 + waitingMax }, () => pool.run(ask));
    await expect(pool.run(ask)).rejects.toMatchObject({ kind: "unavailable", code: "overloaded" });
    expect(new Set(await Promise.all(accepted)).size).toBe(1 + waitingMax);
    expect(await pool.run(ask)).toMatch(/^\$2b\$04\$/);
  } finally {
    await pool.close();
  }
});

test("given a task that bcrypt refuses, when it runs, then it alone fails", async () => {
  const pool = new BcryptPool(1);
  try {
    await expect(pool.run({ ...ask, input: 7 as unknown as string })).rejects.toThrow("Illegal arguments");
    expect(await pool.run({ kind: "verify", input: "text", hash: String(await pool.run(ask)) })).toBe(true);
  } finally {
    await pool.close();
  }
});

test("given running and waiting tasks, when the pool is closed, then all of them and later ones reject", async () => {
  const pool = new BcryptPool(1);
  const tasks = [pool.run({ ...ask, cost: 12 }), pool.run(ask), pool.run(ask)].map((task) =>
    task.then(
      () => "done",
      (error: unknown) => String(error),
    ),
  );
  await pool.close();
  expect(await Promise.all(tasks)).toEqual(Array(3).fill("Error: the pool is closed"));
  await expect(pool.run(ask)).rejects.toThrow("the pool is closed");
});
