import { infraUrlsVariable, startedUrlsText, type InfraUrls } from "./config.ts";

/** The servers of this test run. Throws when the run was started without Jest's global set-up. Pure reading, cheap. */
export function testInfra(): InfraUrls {
  const text = startedUrlsText();
  if (text === undefined) {
    throw new Error(
      `This test needs Postgres, NATS and Redis, but ${infraUrlsVariable} is not set: run it with the jest.config.mjs ` +
        "of the repository's root, and without CODEX_TEST_INFRA=none.",
    );
  }
  const value: unknown = JSON.parse(text);
  if (
    typeof value === "object" &&
    value !== null &&
    "postgresUrl" in value &&
    "natsUrl" in value &&
    "redisUrl" in value
  ) {
    const { postgresUrl, natsUrl, redisUrl } = value;
    if (typeof postgresUrl === "string" && typeof natsUrl === "string" && typeof redisUrl === "string") {
      return { postgresUrl, natsUrl, redisUrl };
    }
  }
  throw new Error(`${infraUrlsVariable} does not hold three addresses.`);
}
