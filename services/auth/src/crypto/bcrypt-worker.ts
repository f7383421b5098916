import bcrypt from "bcryptjs";
import { parentPort } from "node:worker_threads";

/** One hash at a time, off the event loop: bcryptjs holds a thread for about 100 ms at a stretch. */
export type BcryptTask =
  | { readonly id: number; readonly kind: "hash"; readonly input: string; readonly cost: number }
  | { readonly id: number; readonly kind: "verify"; readonly input: string; readonly hash: string };

export type BcryptAnswer =
  | { readonly id: number; readonly ok: true; readonly value: string | boolean }
  | { readonly id: number; readonly ok: false; readonly message: string };

parentPort?.on("message", (task: BcryptTask) => {
  const answer = (): BcryptAnswer => {
    try {
      const value =
        task.kind === "hash" ? bcrypt.hashSync(task.input, task.cost) : bcrypt.compareSync(task.input, task.hash);
      return { id: task.id, ok: true, value };
    } catch (error) {
      return { id: task.id, ok: false, message: error instanceof Error ? error.message : "bcrypt failed" };
    }
  };
  parentPort?.postMessage(answer());
});
