import { eventually } from "@codex/testkit";
import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { createServer, type Server, type Socket } from "node:net";
import { SMTPServer } from "smtp-server";
import type { Harness } from "./_harness.ts";
import { consents, freshEmail, password, startAuth } from "./_util.ts";

/** A real mail server, and one that accepts a connection and never says a word. */

interface Received {
  readonly to: string;
  readonly text: string;
}

const received: Received[] = [];
const state = { refuse: 0, hangUp: false };
const sockets = new Set<Socket>();
let smtp: SMTPServer;
let silent: Server;

const listening = (server: { listen(port: number, host: string, done: () => void): unknown }): Promise<void> =>
  new Promise((resolve) => {
    server.listen(0, "127.0.0.1", resolve);
  });
const portOf = (address: unknown): string => String((address as { port: number }).port);

beforeAll(async () => {
  smtp = new SMTPServer({
    authOptional: true,
    disabledCommands: ["STARTTLS"],
    onData(stream, session, done) {
      const chunks: Buffer[] = [];
      stream.on("data", (chunk: Buffer) => chunks.push(chunk));
      stream.on("end", () => {
        if (state.refuse > 0) {
          state.refuse -= 1;
          done(Object.assign(new Error("try again"), { responseCode: 451 }));
          return;
        }
        const text = Buffer.concat(chunks).toString();
        for (const { address } of session.envelope.rcptTo) received.push({ to: address, text });
        done();
      });
    },
  });
  silent = createServer((socket) => {
    sockets.add(socket.on("error", () => undefined));
    if (state.hangUp) socket.destroy();
  });
  await listening(smtp);
  await listening(silent);
});
afterAll(async () => {
  await new Promise<void>((resolve) => smtp.close(resolve));
  for (const socket of sockets) socket.destroy();
  silent.close();
});

/** Stops a service whose mails hang: the sockets of both ends are in this process, and none may be left. */
async function stop(world: Harness): Promise<void> {
  state.hangUp = true;
  for (const socket of sockets) socket.destroy();
  await world.stop();
  state.hangUp = false;
}

const askToRegister = (world: Harness, email: string) =>
  world.send("POST", "/api/auth/register", { body: { email, password, consents } });

describe("the queue of mails", () => {
  test("given a mail server that refuses twice, when somebody registers, then the mail comes in the end, once, and the row is gone", async () => {
    const port = portOf(smtp.server.address());
    const world = await startAuth({ AUTH_MAIL: "smtp", AUTH_SMTP_URL: `smtp://127.0.0.1:${port}` });
    try {
      state.refuse = 2;
      const email = freshEmail();
      expect((await askToRegister(world, email)).status).toBe(202);
      const mail = await eventually(() => received.find(({ to }) => to === email), {
        what: "the mail",
        timeoutMs: 30_000,
      });
      expect(mail.text).toMatch(/^From: Codex API <no-reply@localhost>\r$/m);
      expect(mail.text).toMatch(/^Content-Type: text\/plain; charset=utf-8\r$/m);
      await eventually(async () => (await world.query("select 1 from mail_intent")).length === 0, {
        what: "an empty queue",
      });
      expect(received.filter(({ to }) => to === email)).toHaveLength(1);
      // The mailbox of a demo is closed here.
      expect((await world.send("GET", "/api/auth/mailbox")).status).toBe(404);
    } finally {
      await world.stop();
    }
  }, 120_000);

  test("given a mail server that never answers, when links are asked for, then every answer comes at once and the mails wait", async () => {
    const world = await startAuth({ AUTH_MAIL: "smtp", AUTH_SMTP_URL: `smtp://127.0.0.1:${portOf(silent.address())}` });
    try {
      for (let ask = 0; ask < 5; ask += 1) {
        expect((await world.send("POST", "/api/auth/reset-link", { body: { email: freshEmail() } })).status).toBe(202);
      }
      const email = freshEmail();
      expect((await askToRegister(world, email)).status).toBe(202);
      expect(await world.query("select email from mail_intent where kind = 'register'")).toEqual([{ email }]);
    } finally {
      await stop(world);
    }
  }, 120_000);

  test("given a full queue, when somebody registers, then the answer is the same and nothing grows", async () => {
    const world = await startAuth({ AUTH_MAIL: "smtp", AUTH_SMTP_URL: `smtp://127.0.0.1:${portOf(silent.address())}` });
    try {
      await world.query(
        `insert into mail_intent (kind, email, language, data, due_at, created_at, expires_at)
         select 'blocked', 'x@example.org', 'ru', '{}', now() + interval '1 hour', now(), now() + interval '1 hour'
         from generate_series(1, 10000)`,
      );
      expect((await askToRegister(world, freshEmail())).status).toBe(202);
      const [row] = await world.query<{ n: string }>("select count(*)::text as n from mail_intent");
      expect(row?.n).toBe("10000");
    } finally {
      await stop(world);
    }
  }, 120_000);
});
