import { jwksGet, sessionCheckV2, type RpcDef } from "@codex/contracts";
import type { Clock, Result } from "@codex/kernel";
import type { z } from "zod";
import { appError } from "./error-catalogue.ts";
import { createSessionVerifier, type SessionVerifier } from "./session.ts";

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
    check: (sessionId) => bus.call(sessionCheckV2, { sessionId }),
    ...(clock === undefined ? {} : { clock }),
  });
}
