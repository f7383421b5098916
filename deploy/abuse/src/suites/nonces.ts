import { sealSecret } from "@codex/kernel";
import { randomBytes } from "node:crypto";
import { Tally, type Outcome, type Suite } from "../suite.ts";

/**
 * SEC-41. A nonce that comes twice under one key gives both secrets away. A million envelopes take half a minute of one core,
 * too much for every run of the tests, where a hundred thousand are made (libs/kernel); so they are made here.
 */

const envelopes = 1_000_000;

function run(): Promise<readonly Outcome[]> {
  const key = randomBytes(32);
  const tally = new Tally("SEC-41 no nonce comes twice");
  // The first eight of twelve bytes: if no two of these are equal, no two nonces are. Of random ones two would be once in 37 million runs.
  const beginnings = new BigUint64Array(envelopes);
  for (let made = 0; made < envelopes; made += 1)
    beginnings[made] = Buffer.from(sealSecret("secret", key, "abuse"), "base64").readBigUInt64BE(1);
  beginnings.sort();
  for (let at = 1; at < envelopes; at += 1)
    tally.check(beginnings[at] !== beginnings[at - 1], () => `twice: ${String(beginnings[at])}`);
  return Promise.resolve([tally.outcome()]);
}

export const nonces: Suite = {
  name: "nonces",
  description: "a million envelopes of one key, and no nonce twice (SEC-41)",
  isDeterministic: false,
  run,
};
