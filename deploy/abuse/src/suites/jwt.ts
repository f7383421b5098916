import { newId } from "@codex/kernel";
import {
  calculateJwkThumbprint,
  decodeJwt,
  exportJWK,
  generateKeyPair,
  SignJWT,
  UnsecuredJWT,
  type CryptoKey,
  type JWTPayload,
} from "jose";
import { createHmac, createPrivateKey, createPublicKey, createSecretKey, type KeyObject } from "node:crypto";
import { targets } from "../routes.ts";
import { Tally, type Outcome, type Suite } from "../suite.ts";
import { codeOf, send, type Visitor } from "../visitor.ts";
import type { World } from "../world.ts";

/**
 * SEC-17. Tokens that auth never signed, shown to every service that verifies them itself. The recipe unchanged is accepted, so
 * each row of the table fails for its one change.
 */

interface Recipe {
  readonly key?: CryptoKey | KeyObject | Uint8Array;
  readonly header?: Readonly<Record<string, unknown>>;
  readonly claims?: Readonly<Record<string, unknown>>;
  readonly without?: string;
}

interface Forger {
  readonly origin: string;
  readonly sessionId: string;
  readonly privateKey: KeyObject;
  readonly kid: string;
  readonly x: string;
}

const nowSeconds = (): number => Math.floor(Date.now() / 1_000);

/** The key pair that auth derives from its secret, for making tokens that it never would. */
async function forgerOf(world: World, who: Visitor): Promise<Forger> {
  const seed = createHmac("sha256", world.secret("auth.AUTH_SIGNING_SECRET"))
    .update("codex session signing key v1")
    .digest();
  const prefix = Buffer.from("302e020100300506032b657004220420", "hex");
  const privateKey = createPrivateKey({ key: Buffer.concat([prefix, seed]), format: "der", type: "pkcs8" });
  const { x = "" } = await exportJWK(createPublicKey(privateKey));
  const kid = await calculateJwkThumbprint({ kty: "OKP", crv: "Ed25519", x });
  const { sid } = decodeJwt(tokenOf(who));
  return { origin: world.origin, sessionId: String(sid), privateKey, kid, x };
}

const tokenOf = (who: Visitor): string => who.session.slice("__Host-cx=".length);

function claimsOf({ origin, sessionId }: Forger, { claims = {}, without }: Recipe): JWTPayload {
  const all = { sid: sessionId, iss: origin, aud: "dashboard", iat: nowSeconds(), exp: nowSeconds() + 600, ...claims };
  return Object.fromEntries(Object.entries(all).filter(([name]) => name !== without));
}

function forge(forger: Forger, recipe: Recipe = {}): Promise<string> {
  const header = { alg: "EdDSA", typ: "session+jwt", kid: forger.kid, ...recipe.header };
  const token = new SignJWT(claimsOf(forger, recipe)).setProtectedHeader(header);
  return token.sign(recipe.key ?? forger.privateKey, { crit: { "urn:abuse": true } });
}

type Row = readonly [what: string, make: (forger: Forger) => Promise<string>];

const table: readonly Row[] = [
  ["of algorithm none", (forger) => Promise.resolve(new UnsecuredJWT(claimsOf(forger, {})).encode())],
  [
    "of algorithm none, with our signature behind it",
    async (forger) => `${new UnsecuredJWT(claimsOf(forger, {})).encode()}${(await forge(forger)).split(".")[2] ?? ""}`,
  ],
  [
    "signed by HMAC with our public key",
    (forger) => forge(forger, { header: { alg: "HS256" }, key: createSecretKey(Buffer.from(forger.x, "base64url")) }),
  ],
  [
    "signed by HMAC with nothing but zeros",
    (forger) => forge(forger, { header: { alg: "HS256" }, key: new Uint8Array(32) }),
  ],
  [
    "of another key under our kid",
    async (forger) => forge(forger, { key: (await generateKeyPair("EdDSA")).privateKey }),
  ],
  [
    "of RSA under our kid",
    async (forger) => forge(forger, { header: { alg: "RS256" }, key: (await generateKeyPair("RS256")).privateKey }),
  ],
  ["that brings its own key along", (forger) => withOwnKey(forger, (jwk) => ({ jwk }))],
  [
    "that names an address for its key",
    (forger) => withOwnKey(forger, () => ({ jku: `${forger.origin}/api/auth/jwks.json` })),
  ],
  [
    "that names a certificate for its key",
    (forger) => withOwnKey(forger, () => ({ x5u: "https://attacker.example/cert.pem" })),
  ],
  ["of an unknown kid", (forger) => forge(forger, { header: { kid: "somebody" } })],
  ["of a kid that is a path", (forger) => forge(forger, { header: { kid: "../../../dev/null" } })],
  ["without a kid", (forger) => forge(forger, { header: { kid: undefined } })],
  ["of another issuer", (forger) => forge(forger, { claims: { iss: "https://attacker.example" } })],
  ["of no issuer", (forger) => forge(forger, { without: "iss" })],
  ["for another audience", (forger) => forge(forger, { claims: { aud: "gateway" } })],
  ["for no audience", (forger) => forge(forger, { without: "aud" })],
  ["of another type", (forger) => forge(forger, { header: { typ: "JWT" } })],
  ["of no type", (forger) => forge(forger, { header: { typ: undefined } })],
  ["without an end", (forger) => forge(forger, { without: "exp" })],
  ["without a beginning", (forger) => forge(forger, { without: "iat" })],
  ["without a session", (forger) => forge(forger, { without: "sid" })],
  ["whose session is a number", (forger) => forge(forger, { claims: { sid: 7 } })],
  ["of a session that never was", (forger) => forge(forger, { claims: { sid: newId("ses") } })],
  ["of the future", (forger) => forge(forger, { claims: { iat: nowSeconds() + 600, exp: nowSeconds() + 1_200 } })],
  ["that is not good yet", (forger) => forge(forger, { claims: { nbf: nowSeconds() + 600 } })],
  ["with a demand that nobody knows", (forger) => forge(forger, { header: { crit: ["urn:abuse"], "urn:abuse": 1 } })],
  [
    "with other claims put under the signature",
    async (forger) => {
      const [head = "", , tail = ""] = (await forge(forger, { claims: { sid: newId("ses") } })).split(".");
      return [head, (await forge(forger)).split(".")[1] ?? "", tail].join(".");
    },
  ],
  ["without its signature", async (forger) => (await forge(forger)).split(".").slice(0, 2).join(".")],
  ["of five parts", async (forger) => `${await forge(forger)}.x.y`],
];

async function withOwnKey(
  forger: Forger,
  header: (jwk: unknown) => Readonly<Record<string, unknown>>,
): Promise<string> {
  const { privateKey, publicKey } = await generateKeyPair("EdDSA", { crv: "Ed25519", extractable: true });
  return forge(forger, { key: privateKey, header: { kid: "mine", ...header(await exportJWK(publicKey)) } });
}

/** One reading route a service. */
const readers = [...Map.groupBy(targets, ({ service }) => service)].flatMap(([service, sharing]) => {
  const reader = sharing.find(
    ({ route }) => route.method === "GET" && route.auth !== "public" && !route.path.includes(":"),
  );
  return reader ? [{ service, reader }] : [];
});

async function run(world: World): Promise<readonly Outcome[]> {
  // Of the administrator, because the gateway has no route for anybody else.
  const who = world.operator;
  const forger = await forgerOf(world, who);
  const accepted = new Tally("SEC-17 the recipe unchanged is accepted by every service");
  const refused = new Tally("SEC-17 each change of it is refused by every service");
  const ask = (path: string, token: string) =>
    send(world.pool, { method: "GET", path, headers: { cookie: `__Host-cx=${token}` } });
  for (const { service, reader } of readers) {
    const plain = await ask(reader.route.path, await forge(forger));
    accepted.check(plain.status === 200, () => `${service}: ${String(plain.status)} ${plain.text}`);
    for (const [what, make] of table) {
      const answer = await ask(reader.route.path, await make(forger));
      const isRefused =
        answer.status === 401 && codeOf(answer) === "session_required" && answer.headers["set-cookie"] === undefined;
      refused.check(isRefused, () => `${reader.name} takes a token ${what}: ${String(answer.status)} ${answer.text}`);
    }
    // Auth alone takes one that has run out, because it is the one that renews it.
    if (service === "auth") continue;
    const old = await ask(
      reader.route.path,
      await forge(forger, { claims: { iat: nowSeconds() - 3_600, exp: nowSeconds() - 60 } }),
    );
    refused.check(old.status === 401, () => `${reader.name} takes a token that has run out: ${String(old.status)}`);
  }
  return [accepted.outcome(`${String(readers.length)} services`), refused.outcome(), await spellings(world)];
}

/** A token has more than one spelling: who is signed out must be so in all of them. */
async function spellings(world: World): Promise<Outcome> {
  const tally = new Tally("SEC-17 who has signed out is so in every spelling of the token");
  const who = await world.customer();
  const token = tokenOf(who);
  const respelled = respell(token);
  const { session } = who;
  const before = await send(world.pool, { method: "GET", path: "/api/keys", headers: { cookie: session } });
  tally.check(before.status === 200, () => `the session did not work at first: ${before.text}`);
  await who.ask("POST", "/api/auth/sign-out");
  for (const { reader } of readers)
    for (const spelling of [token, respelled, `${token}=`]) {
      const answer = await send(world.pool, {
        method: "GET",
        path: reader.route.path,
        headers: { cookie: `__Host-cx=${spelling}` },
      });
      tally.check(answer.status === 401, () => `${reader.name} still takes the session: ${String(answer.status)}`);
    }
  return tally.outcome();
}

/** The last letter of 64 bytes in base64url carries two bits that count, and four that do not. */
function respell(token: string): string {
  const letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
  const last = letters.indexOf(token.at(-1) ?? "");
  return token.slice(0, -1) + (letters[(last & 0b110000) | ((last + 1) & 0b001111)] ?? "");
}

export const jwt: Suite = {
  name: "jwt",
  description: "session tokens that auth never signed, at every service (SEC-17)",
  isDeterministic: true,
  run,
};
