import { eventHandler, type EventHandler } from "@codex/bus";
import { keyReported } from "@codex/contracts";
import type { NoticeStore } from "../app/ports.ts";

/** Name of the consumer at the server; replicas share it. */
export const noticesDurable = "auth-notices";

/** What other services have an owner told: here alone the address is known. */
export function noticeHandlers(notices: NoticeStore): readonly EventHandler[] {
  return [
    eventHandler(keyReported, async ({ accountId, prefix, foundAt }, { id }) => {
      const data = { prefix, ...(foundAt === null ? {} : { foundAt }) };
      await notices.tell(id, accountId, "key_reported", data);
    }),
  ];
}
