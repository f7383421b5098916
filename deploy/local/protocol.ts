import { z } from "zod";

/**
 * What the supervisor tells the command that started it, over Node's IPC channel. The supervisor is always a process of its
 * own session: so Ctrl-C in a terminal does not reach the services all at once, and `--detach` only means not to stay.
 */

const firstRequest = z.object({
  model: z.string(),
  requestId: z.string(),
  answer: z.string(),
  inputTokens: z.number(),
  outputTokens: z.number(),
  durationMs: z.number(),
  charged: z.string(),
  before: z.string(),
  after: z.string(),
});
export type FirstRequest = z.infer<typeof firstRequest>;

/** All that the card shows. */
const cardFacts = z.object({
  dashboardUrl: z.string(),
  apiUrl: z.string(),
  gatewayUrl: z.string(),
  userEmail: z.string(),
  operatorEmail: z.string(),
  keyPrefix: z.string(),
  firstRequest,
  readyInMs: z.number(),
});
export type CardFacts = z.infer<typeof cardFacts>;

export const supervisorMessage = z.discriminatedUnion("kind", [
  z.object({ kind: z.literal("begin"), step: z.string() }),
  z.object({
    kind: z.literal("done"),
    step: z.string(),
    detail: z.string(),
    ms: z.number(),
    extra: z.array(z.string()),
  }),
  z.object({ kind: z.literal("failed"), step: z.string(), lines: z.array(z.string()) }),
  z.object({ kind: z.literal("note"), text: z.string() }),
  z.object({ kind: z.literal("ready"), card: cardFacts }),
  z.object({ kind: z.literal("refused") }),
  z.object({ kind: z.literal("stopped"), clean: z.boolean() }),
]);
export type SupervisorMessage = z.infer<typeof supervisorMessage>;

/** The command leaves; the supervisor goes on by itself. */
export const commandMessage = z.object({ kind: z.literal("detach") });

/** supervisor.json */
export const supervisorState = z.object({
  phase: z.enum(["starting", "ready", "stopping"]),
  pid: z.number(),
  startedAt: z.string(),
  detached: z.boolean(),
  services: z.array(
    z.object({
      name: z.string(),
      title: z.string(),
      phase: z.enum(["starting", "ready", "waiting", "stopped"]),
      pid: z.number().optional(),
      url: z.string(),
      readyUrl: z.string(),
      restarts: z.number(),
      startedAt: z.string().optional(),
      lastExit: z.string().optional(),
    }),
  ),
  card: cardFacts.optional(),
});
export type SupervisorState = z.infer<typeof supervisorState>;
