import { Tally, type Outcome, type Suite } from "../suite.ts";
import { codeOf, password, send, type Answer, type Visitor } from "../visitor.ts";
import { each } from "../suite.ts";
import type { World } from "../world.ts";

/**
 * SEC-16. One account, guessed at from three hundred networks: at most a hundred guesses may be judged before only a mailed
 * link helps (NIST SP 800-63B-4 §3.2.2), and in the time of this run the growing pause lets through far fewer. The owner's own
 * browser signs in all the while, and the answers for an address without account are the same.
 */

const networks = 300;
const judgedMost = 100;

async function run(world: World): Promise<readonly Outcome[]> {
  const owner = await world.customer();
  const nobody = world.stranger();
  const guesses = new Tally(`SEC-16 of ${String(networks)} guesses at once at most ${String(judgedMost)} are judged`);
  const judged = new Map<string, number>();
  const codes = new Map<string, ReadonlySet<string>>();
  for (const person of [owner, nobody]) {
    const answers = await attack(world, person);
    judged.set(person.email, answers.filter((answer) => codeOf(answer) === "invalid_credentials").length);
    codes.set(person.email, new Set(answers.map((answer) => codeOf(answer) ?? String(answer.status))));
    for (const answer of answers)
      guesses.check(
        answer.status === 401 || answer.status === 429,
        () => `answered ${String(answer.status)}: ${answer.text}`,
      );
  }
  const count = judged.get(owner.email) ?? 0;
  guesses.check(count > 0 && count <= judgedMost, () => `${String(count)} were judged`);
  const same = new Tally("SEC-16 and an address without account is throttled in the same words");
  const [ofOwner, ofNobody] = [codes.get(owner.email), codes.get(nobody.email)];
  same.check(
    [...(ofOwner ?? [])].toSorted().join() === [...(ofNobody ?? [])].toSorted().join(),
    () => "the codes differ",
  );
  const known = new Tally(
    "SEC-16 the owner's browser signs in all the while; a stranger with the right password waits",
  );
  const mine = await owner.ask("POST", "/api/auth/sign-in", { email: owner.email, password });
  known.check(mine.status === 200, () => `the owner was refused: ${mine.text}`);
  const stranger = await guess(world, owner, 9_999, password);
  known.check(stranger.status === 429, () => `a stranger was let in: ${String(stranger.status)}`);
  return [guesses.outcome(`${String(count)} judged`), same.outcome(), known.outcome(), await forgedForwarding(world)];
}

async function attack(world: World, person: Visitor): Promise<readonly Answer[]> {
  const answers: Answer[] = [];
  await each([...Array(networks).keys()], 16, async (network) => {
    answers.push(await guess(world, person, network, `guess number ${String(network)}`));
  });
  return answers;
}

/** As the edge would pass it on from that network: straight to auth, which trusts one proxy. */
function guess(world: World, { email, origin }: Visitor, network: number, given: string): Promise<Answer> {
  const address = `10.${String(1 + (network >> 8))}.${String(network & 255)}.7`;
  return send(world.direct("auth"), {
    method: "POST",
    path: "/api/auth/sign-in",
    headers: { origin, "x-cx-csrf": "1", "x-forwarded-for": address },
    body: JSON.stringify({ email, password: given }),
  });
}

/** SEC-05: through the edge, which says itself who it heard, an invented address does not make another network. */
async function forgedForwarding(world: World): Promise<Outcome> {
  const tally = new Tally("SEC-05 an invented address does not make a guess one of another network");
  const victim = await world.customer();
  const browser = victim.another();
  const codes: (string | undefined)[] = [];
  for (let network = 0; network < 8; network += 1) {
    const answer = await browser.askRaw({
      method: "POST",
      path: "/api/auth/sign-in",
      headers: {
        "x-forwarded-for": `10.200.${String(network)}.7`,
        "x-real-ip": `10.201.${String(network)}.7`,
        forwarded: `for=10.202.${String(network)}.7`,
      },
      body: JSON.stringify({ email: victim.email, password: "a guess" }),
    });
    codes.push(codeOf(answer));
  }
  const judged = codes.filter((code) => code === "invalid_credentials").length;
  tally.check(judged > 0 && judged <= 5, () => `${String(judged)} guesses of one network were judged`);
  tally.check(codes.at(-1) === "too_many_attempts", () => `the last one answered ${codes.at(-1) ?? "nothing"}`);
  return tally.outcome(`${String(judged)} of 8 judged`);
}

export const throttle: Suite = {
  name: "throttle",
  description: "one account guessed at from three hundred networks, while its owner signs in (SEC-16, SEC-05)",
  isDeterministic: true,
  run,
};
