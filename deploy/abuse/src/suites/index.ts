import type { Suite } from "../suite.ts";
import { access } from "./access.ts";
import { csrf } from "./csrf.ts";
import { fixation } from "./fixation.ts";
import { idor } from "./idor.ts";
import { jwt } from "./jwt.ts";
import { keys } from "./keys.ts";
import { oneTime } from "./races.ts";
import { throttle } from "./throttle.ts";

/** In the order of the report. */
export const suites: readonly Suite[] = [access, idor, csrf, jwt, fixation, oneTime, throttle, keys];
