import bcrypt from "bcryptjs";
import { parentPort } from "node:worker_threads";
import { strengthOf } from "./password-strength.ts";

/** One password at a time, off the event loop: bcryptjs holds a thread for about 100 ms at a stretch. */
export type BcryptTask =
  | { readonly id: number; readonly kind: "hash"; readonly input: string; readonly cost: number }
  | { readonly id: number; readonly kind: "verify"; readonly input: string; readonly hash: string }
  | { readonly id: number; readonly kind: "strength"; readonly input: string; readonly words: readonly string[] };

export type BcryptAnswer =
  | { readonly id: number; readonly ok: true; readonly value: string | boolean | number }
  | { readonly id: number; readonly ok: false; readonly message: string };

parentPort?.on("message", (task: BcryptTask) => {
  const answer = (): BcryptAnswer => {
    try {
      return { id: task.id, ok: true, value: work(task) };
    } catch (error) {
      return { id: task.id, ok: false, message: error instanceof Error ? error.message : "bcrypt failed" };
    }
  };
  parentPort?.postMessage(answer());
});

function work(task: BcryptTask): string | boolean | number {
  switch (task.kind) {
    case "hash":
      return bcrypt.hashSync(task.input, task.cost);
    case "verify":
      return bcrypt.compareSync(task.input, task.hash);
    case "strength":
      return strengthOf(task.input, task.words);
  }
}
