import { createHmac, randomInt } from "node:crypto";
import type { PasswordHasher } from "../app/ports.ts";
import type { BcryptPool } from "./bcrypt-pool.ts";

/**
 * Stored form: `hs384-bcrypt$<pepper id>$<bcrypt string>`. bcrypt reads 72 bytes and stops at NUL, so it is given
 * base64(HMAC-SHA384(pepper, password)): 64 ASCII letters that depend on every byte of the password (SEC-10). The format
 * names its algorithm and its pepper, so that either can be changed; the cost is inside the bcrypt string (SEC-13).
 */

const algorithm = "hs384-bcrypt";
const formPattern = /^hs384-bcrypt\$([a-z0-9]{1,16})\$(\$2[aby]\$(\d\d)\$[./A-Za-z0-9]{53})$/;

export interface Pepper {
  readonly id: string;
  readonly secret: string;
}

export interface HasherOptions {
  readonly pool: BcryptPool;
  /** The first makes new hashes, all of them verify old ones. */
  readonly peppers: readonly [Pepper, ...Pepper[]];
  /** bcrypt cost, 2^cost rounds; at least 12 (design/security.md, measured 315 ms). Lower only in tests. */
  readonly cost: number;
}

/**
 * A pepper under an id that follows from it, so that a changed setting is a new id, and a hash of the pepper before it is
 * still told apart. Eight bytes of an HMAC say nothing about a secret of 32 bytes or more.
 */
export function pepperOf(secret: string): Pepper {
  return { id: createHmac("sha256", secret).update("codex pepper id v1").digest("hex").slice(0, 16), secret };
}

const bcryptLetters = "./ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";

/** The form of a bcrypt string of this cost that no password made: checking against it is the same work as against a real one. */
function nobodysHash(cost: number): string {
  const letters = Array.from({ length: 53 }, () => bcryptLetters.charAt(randomInt(bcryptLetters.length)));
  return `$2b$${String(cost).padStart(2, "0")}$${letters.join("")}`;
}

function prehash(password: string, pepper: Pepper): string {
  return createHmac("sha384", pepper.secret).update(password, "utf8").digest("base64");
}

export function passwordHasher({ pool, peppers, cost }: HasherOptions): PasswordHasher {
  const [current] = peppers;
  // What an unknown account is checked against.
  const nobody = nobodysHash(cost);
  return {
    async hash(password) {
      const hashed = await pool.run({ kind: "hash", input: prehash(password, current), cost });
      return `${algorithm}$${current.id}$${String(hashed)}`;
    },
    async verify(password, hash) {
      const known = hash === undefined ? undefined : formPattern.exec(hash);
      const pepper = known && peppers.find((candidate) => candidate.id === known[1]);
      if (!known || !pepper) {
        await pool.run({ kind: "verify", input: prehash(password, current), hash: nobody });
        return false;
      }
      return (await pool.run({ kind: "verify", input: prehash(password, pepper), hash: known[2] ?? "" })) === true;
    },
    async strength(password, words) {
      return Number(await pool.run({ kind: "strength", input: password, words }));
    },
    needsUpgrade(hash) {
      const known = formPattern.exec(hash);
      return !known || known[1] !== current.id || Number.parseInt(known[3] ?? "0", 10) < cost;
    },
  };
}
