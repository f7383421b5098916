import * as z from "zod";

/** RFC 9457 problem details, the error body of every `/api/*` route. */
export const problem = z.object({
  type: z.string(),
  title: z.string(),
  status: z.number().int(),
  /** Stable machine word; clients branch on it, never on text. */
  code: z.string(),
  detail: z.string(),
  requestId: z.string(),
  /** One entry a wrong field: JSON pointer and what is wrong with it. */
  errors: z.array(z.object({ pointer: z.string(), message: z.string() })).optional(),
  metadata: z.record(z.string(), z.unknown()).optional(),
});
export type Problem = z.infer<typeof problem>;
