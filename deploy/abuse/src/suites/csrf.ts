import { needsCsrf } from "@codex/http";
import { anyPathOf, idempotencyHeader, isGuarded, isUnsafe, targets, type Target } from "../routes.ts";
import { each, Tally, type Outcome, type Suite, type SuiteOptions } from "../suite.ts";
import { codeOf, type Answer, type Visitor } from "../visitor.ts";
import type { World } from "../world.ts";

/**
 * SEC-22. Every unsafe route, with the cookie of somebody who may use it, from every kind of page: what the browser says of
 * the site, the origin, the content type, with and without our header. Only our own page gets past the guard, and there only
 * JSON is read. The body is nonsense, so nothing that gets through changes anything.
 */

const sites = ["same-origin", "same-site", "cross-site", "none", null] as const;
const types = ["application/json", "text/plain", "application/x-www-form-urlencoded"] as const;
const nonsense = '{"nonsense":1}';

interface Page {
  readonly site: string | null;
  readonly from: string | null;
  readonly type: string;
  readonly header: string | null;
}

function pagesOf(origin: string): readonly Page[] {
  const { protocol, host } = new URL(origin);
  const origins = [origin, `${protocol}//sub.${host}`, "null", null];
  return sites.flatMap((site) =>
    origins.flatMap((from) => types.flatMap((type) => ["1", null].map((header) => ({ site, from, type, header })))),
  );
}

const isOurs = ({ site, from, header }: Page, origin: string): boolean =>
  header === "1" && (site === "same-origin" || ((site === null || site === "none") && from === origin));

async function run(world: World, options: SuiteOptions): Promise<readonly Outcome[]> {
  const customer = await world.customer();
  const guarded = new Tally("SEC-22 only our own page gets through, and only with JSON");
  const pages = pagesOf(world.origin);
  for (const target of targets.filter((one) => isUnsafe(one))) {
    const who = target.route.auth === "operator" ? world.operator : customer;
    // A route that a page may not call by itself would be one that nothing guards.
    guarded.check(
      needsCsrf(target.route),
      () => `${target.name} changes something and asks nobody where it comes from`,
    );
    await each(pages, 8, async (page) => {
      const answer = await call(who, target, page, options.seed);
      const verdict = verdictOf(answer);
      const expected = isOurs(page, world.origin)
        ? page.type === "application/json"
          ? "read"
          : "not JSON"
        : "refused";
      guarded.check(
        verdict === expected,
        () => `${target.name} from ${JSON.stringify(page)}: ${verdict}, not ${expected}: ${answer.text}`,
      );
    });
  }
  const alive = new Tally("SEC-22 nobody was signed out by it");
  for (const who of [customer, world.operator]) {
    const { status } = await who.ask("GET", "/api/auth/me");
    alive.check(status === 200, () => `${who.email} is signed out: ${String(status)}`);
  }
  const reading = new Tally("SEC-22 a GET changes nothing: no route of that verb takes a body");
  for (const { name, route } of targets.filter((one) => !isUnsafe(one) && isGuarded(one)))
    reading.check(
      route.request.body === undefined && route.rateClass === "read",
      () => `${name} takes a body or is no read`,
    );
  return [guarded.outcome(), alive.outcome(), reading.outcome()];
}

function verdictOf(answer: Answer): string {
  if (codeOf(answer) === "csrf_rejected") return "refused";
  if (answer.status === 415) return "not JSON";
  // Past the guard: the nonsense is what is refused, or that the object is not there, or that the proof is old.
  return answer.status >= 400 && answer.status < 500 ? "read" : `answered ${String(answer.status)}`;
}

function call(who: Visitor, target: Target, { site, from, type, header }: Page, seed: number): Promise<Answer> {
  return who.askRaw({
    method: target.route.method,
    path: anyPathOf(target, seed),
    headers: {
      ...idempotencyHeader(target, `csrf-${String(seed)}`),
      "sec-fetch-site": site,
      origin: from,
      "content-type": type,
      "x-cx-csrf": header,
    },
    body: nonsense,
  });
}

export const csrf: Suite = {
  name: "csrf",
  description: "every unsafe route from every kind of page: site × origin × content type × header (SEC-22)",
  isDeterministic: true,
  run,
};
