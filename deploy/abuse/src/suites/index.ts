import type { Suite } from "../suite.ts";
import { access } from "./access.ts";
import { csrf } from "./csrf.ts";
import { fixation } from "./fixation.ts";
import { fuzz } from "./fuzz.ts";
import { idor } from "./idor.ts";
import { jwt } from "./jwt.ts";
import { keys } from "./keys.ts";
import { nonces } from "./nonces.ts";
import { oneTime } from "./races.ts";
import { sqlmap } from "./sqlmap.ts";
import { throttle } from "./throttle.ts";
import { timing } from "./timing.ts";

/** In the order of the report. */
export const suites: readonly Suite[] = [
  access,
  idor,
  csrf,
  jwt,
  fixation,
  oneTime,
  throttle,
  keys,
  fuzz,
  sqlmap,
  nonces,
  timing,
];
