import net from "node:net";
import type { InfraUrls } from "./config.ts";
import { postgresAnswers } from "./postgres-server.ts";

const connectTimeoutMs = 3000;

/** Probes given servers. Throws a sentence that names the address (never the password) of each that does not answer. */
export async function checkGiven(given: Partial<InfraUrls>): Promise<void> {
  const problems = await Promise.all([
    given.postgresUrl === undefined ? undefined : checkPostgres(given.postgresUrl),
    ...(given.natsUrl === undefined
      ? []
      : given.natsUrl.split(",").map((url) => checkListening("NATS", url.trim(), 4222))),
    given.redisUrl === undefined ? undefined : checkListening("Redis", given.redisUrl, 6379),
  ]);
  const sentences = problems.filter((problem) => problem !== undefined);
  if (sentences.length > 0) throw new Error(sentences.join("\n"));
}

async function checkPostgres(url: string): Promise<string | undefined> {
  const unreachable = await checkListening("Postgres", url, 5432);
  if (unreachable !== undefined) return unreachable;
  if (await postgresAnswers(url, connectTimeoutMs)) return undefined;
  return `The given Postgres at ${new URL(url).host} listens, but did not let us sign in: check user, password and database.`;
}

function checkListening(name: string, text: string, defaultPort: number): Promise<string | undefined> {
  if (!URL.canParse(text)) return Promise.resolve(`The given address of ${name} is not a URL.`);
  const { hostname, port } = new URL(text);
  const target = { host: hostname.replace(/^\[|\]$/g, ""), port: port === "" ? defaultPort : Number(port) };
  return new Promise((resolve) => {
    const socket = net.connect(target);
    const finish = (problem: string | undefined): void => {
      socket.destroy();
      resolve(problem);
    };
    const refusal = `The given ${name} at ${hostname}:${String(target.port)} does not answer: start it, or remove its address.`;
    socket.setTimeout(connectTimeoutMs, () => finish(refusal));
    socket.on("error", () => finish(refusal));
    socket.on("connect", () => finish(undefined));
  });
}
