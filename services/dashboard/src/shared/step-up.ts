/**
 * The step-up (SEC-24): a service refuses something sensitive with `reauth_required`, the page asks the person who it is, and
 * what was asked goes on. The api-client asks here; whoever can show the question answers.
 */

/** Resolves true once the person proved who it is, false when it was declined. */
export type AskForProof = () => Promise<boolean>;

let ask: AskForProof | undefined;
let asked: Promise<boolean> | undefined;

/** One page at a time answers; the returned function takes it away again. */
export function answerStepUps(by: AskForProof): () => void {
  ask = by;
  return () => {
    if (ask === by) ask = undefined;
  };
}

/** Requests that are refused together share one question. False where nobody can ask, as before sign-in. */
export function stepUp(): Promise<boolean> {
  asked ??= (ask?.() ?? Promise.resolve(false)).finally(() => {
    asked = undefined;
  });
  return asked;
}
