import { jwksGet, sessionCheck, sessionCheckV2, type RpcDef } from "@codex/contracts";
import { AppError, type Clock, type Result, type SessionId } from "@codex/kernel";
import type { z } from "zod";
import { appError } from "./error-catalogue.ts";
import { createSessionVerifier, type SessionFacts, type SessionVerifier } from "./session.ts";

/** The part of @codex/bus that is needed here; structural, so that this library does not depend on it. */
export interface RpcCaller {
  call<Req extends z.ZodType, Res extends z.ZodType, Code extends string>(
    rpc: RpcDef<Req, Res, Code>,
    req: z.output<Req>,
  ): Promise<Result<z.output<Res>, Code>>;
}

/** The session verifier of a service that is not auth: keys and rows are asked for over the bus, each time with its deadline. */
export function createBusSessionVerifier(bus: RpcCaller, issuer: string, clock?: Clock): SessionVerifier {
  return createSessionVerifier({
    issuer,
    fetchJwks: async () => {
      const answer = await bus.call(jwksGet, {});
      if (!answer.ok)
        throw appError("service_unavailable", "Sign-in cannot be checked at the moment. Please try again.");
      return answer.value;
    },
    check: (sessionId) => askAuth(bus, sessionId),
    ...(clock === undefined ? {} : { clock }),
  });
}

/** An auth of the version before answers the first form of the question only: it knows no proofs, so none is fresh. */
async function askAuth(bus: RpcCaller, sessionId: SessionId): Promise<Result<SessionFacts>> {
  try {
    return await bus.call(sessionCheckV2, { sessionId });
  } catch (error) {
    if (!hasNoResponders(error)) throw error;
    return bus.call(sessionCheck, { sessionId });
  }
}

/** By its form, as `RpcCaller` is: this library does not depend on the one of the bus. */
function hasNoResponders(error: unknown): boolean {
  const cause: unknown = error instanceof AppError ? error.cause : undefined;
  if (typeof cause !== "object" || cause === null || !("isNoResponders" in cause)) return false;
  const { isNoResponders } = cause;
  return typeof isNoResponders === "function" && Reflect.apply(isNoResponders, cause, []) === true;
}
