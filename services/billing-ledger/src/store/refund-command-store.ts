import type { Db } from "@codex/db";
import { idToUuid } from "@codex/kernel";
import { sql } from "kysely";
import type { RefundCommandStore } from "../app/refund-by-command.ts";
import { fromDbRefunded, runCommand } from "./command-answer.ts";
import type { EncodeBalanceChanged } from "./ledger-store.ts";
import { keyOf, shardOf } from "./operations-store.ts";
import type { Tables } from "./schema.ts";

export function createRefundCommandStore(db: Db<Tables>, encode: EncodeBalanceChanged): RefundCommandStore {
  return {
    refund: (command, { accountId, requestId, amount, reason }) =>
      runCommand(
        db,
        encode,
        sql`refund_by_command(${keyOf(command)}, ${idToUuid(accountId)}::uuid, ${idToUuid(requestId)}::uuid,
          ${amount}::bigint, ${shardOf(accountId)}, ${reason})`,
        fromDbRefunded,
      ),
  };
}
