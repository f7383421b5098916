import { PermanentFailure, rpcHandler, type EventHandler, type RpcHandler } from "@codex/bus";
import { commandVerdicts } from "@codex/contracts";
import { AppError, ok } from "@codex/kernel";
import type { CommandVerdict, VerdictStore } from "../app/verdict-ports.ts";

/**
 * Notes what becomes of each command, so that its sender may forget it. After the effect, and before the message is acknowledged: when
 * noting fails, the message comes again and the effect is a repeat.
 */
export function withVerdict(verdicts: Pick<VerdictStore, "note">, handler: EventHandler): EventHandler {
  return {
    event: handler.event,
    handle: async (data, meta) => {
      try {
        await handler.handle(data, meta);
      } catch (error) {
        const verdict = verdictOf(error);
        if (verdict) await verdicts.note(meta.id, verdict);
        throw error;
      }
      await verdicts.note(meta.id, "applied");
    },
  };
}

/** Undefined for a fault of the moment, such as a database that is away: nothing can be said of the command. */
function verdictOf(error: unknown): CommandVerdict | undefined {
  if (error instanceof PermanentFailure) return "refused";
  return error instanceof AppError && error.kind === "unavailable" ? "waiting" : undefined;
}

/** What senders of commands ask. */
export function verdictRpc(verdicts: Pick<VerdictStore, "of">): RpcHandler {
  return rpcHandler(commandVerdicts, async ({ req }) => {
    const known = await verdicts.of(req.eventIds);
    return ok({ verdicts: [...known].map(([eventId, verdict]) => ({ eventId, verdict })) });
  });
}
